//! The main node's configuration of a node.

use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    pub name: String,
    pub aliases: Vec<String>,
    pub source: NodeSource,
    pub state_dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq)]
pub enum NodeSource {
    /// On this machine.
    Local,
    Ssh {
        host: String,
        user: Option<String>,
        port: u16,
        identity_file: Option<PathBuf>,
    },
}
