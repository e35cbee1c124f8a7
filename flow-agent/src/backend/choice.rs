//! Which backend the configuration asks for.

use serde::Deserialize;

/// The value of `count.backend` or `--backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendChoice {
    Auto,
    Ebpf,
    Iptables,
}
