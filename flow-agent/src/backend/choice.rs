//! Which backend the configuration asks for.

use serde::Deserialize;

/// The value of `count.backend` or `--backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendChoice {
    Auto,
    Ebpf,
    Nftables,
    Iptables,
}

impl BackendChoice {
    /// Whether rules count for certain. Rules see IP packets, and each packet once.
    pub fn is_by_rules(self) -> bool {
        match self {
            Self::Nftables | Self::Iptables => true,
            Self::Auto | Self::Ebpf => false,
        }
    }
}
