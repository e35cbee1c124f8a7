//! What the configuration says of the ports to watch.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Clone, Debug, PartialEq)]
pub struct PortsConfig {
    pub watch: BTreeSet<u16>,
    /// Also the ports that somebody listens on.
    pub listening: bool,
    pub files: Vec<PortFile>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortFile {
    pub path: PathBuf,
    pub format: PortFileFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortFileFormat {
    /// A JSON array of objects with at least `port` and `user`.
    Mudb,
    /// One port or range a line, then optionally a user's name; `#` begins a comment.
    List,
}
