//! The section of the configuration about ClickHouse.

use std::fmt;
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq)]
pub struct FleetConfig {
    pub url: FleetUrl,
    /// The database that holds the tables: a plain SQL identifier.
    pub database: String,
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    /// A PEM file with certificates to be trusted in addition to those of this system.
    pub ca_file: Option<PathBuf>,
    /// The name under which this node's hours are sent.
    pub node: String,
}

/// The address of ClickHouse's HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetUrl {
    /// `false` only for a loopback address.
    pub tls: bool,
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for FleetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}
