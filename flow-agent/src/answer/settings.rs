//! The keys `socket` and `[metrics]` of the configuration.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where an agent answers, and about which ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerConfig {
    /// The path of the socket; `None` means [`default_socket`](super::default_socket), and an empty path means no
    /// socket.
    pub socket: Option<PathBuf>,
    /// The address at which `/metrics` and `/v1/health` are served over TCP; `None` means nowhere.
    pub listen: Option<SocketAddr>,
    pub ports: MetricsPorts,
}

/// Which ports have metrics of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MetricsPorts {
    #[default]
    All,
    These(BTreeSet<u16>),
}

impl AnswerConfig {
    /// The path of the socket of the agent with this id; `None` if it has none.
    pub fn socket_of(&self, instance: &str) -> Option<PathBuf> {
        match &self.socket {
            None => Some(super::default_socket(instance)),
            Some(path) if path.as_os_str().is_empty() => None,
            Some(path) => Some(Path::to_owned(path)),
        }
    }
}
