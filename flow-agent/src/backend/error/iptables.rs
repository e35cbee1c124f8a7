//! Errors of the iptables backend, and what a person can do about them.

use std::io;
use std::path::PathBuf;

use crate::backend::Cause;
use crate::process::ProcessError;

/// The reason why the iptables backend cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum IptablesError {
    /// The program for an address family that this host has is not installed.
    #[error("`{program}` is not installed")]
    Missing { program: &'static str },

    /// Counters of this instance can neither be read nor removed without `ipset`.
    #[error("counters of this agent are in ipsets, but `ipset` is not installed")]
    NoIpset,

    #[error(transparent)]
    Process(#[from] ProcessError),

    /// A program failed. Its message on stderr is passed on unchanged.
    #[error("{} failed ({status}): {stderr}", program.display())]
    Failed { program: PathBuf, status: String, stderr: String },

    /// Another program that changes rules holds the lock.
    #[error("another program has held {} for more than {secs} s", path.display())]
    Locked { path: PathBuf, secs: u64 },

    #[error("failed to {action} {}", path.display())]
    Path {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("failed to {action} over nf_tables netlink")]
    Nftables {
        action: &'static str,
        #[source]
        source: io::Error,
    },

    #[error("cannot parse the output of {}", program.display())]
    Output {
        program: PathBuf,
        #[source]
        source: Cause,
    },

    /// Somebody changed our rules. The next inspection makes new ones.
    #[error("another program changed the counters ({family})")]
    Damaged {
        family: &'static str,
        #[source]
        source: Cause,
    },

    /// Packets may pass before they are counted. The next inspection repairs that.
    #[error("{why}")]
    NotFirst { why: String },

    /// The table exists, but iptables cannot display it.
    #[error("{} does not show table `{table}`: {stderr}", program.display())]
    Hidden { program: PathBuf, table: &'static str, stderr: String },

    #[error("count = \"wire\" needs eBPF: iptables sees packets before they are segmented for the wire")]
    WireBytes,

    #[error("interface `{interface}` has a name that cannot be used in a rule")]
    InterfaceName { interface: String },
}

impl IptablesError {
    /// What the reader can do about the error, if there is anything.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Missing { program } if program.starts_with("ip6") => {
                format!(
                    "install iptables with {program}, or boot without IPv6; otherwise its traffic is not counted or \
                     billed"
                )
            }
            Self::NoIpset => "install ipset; the counters keep counting, and the next start reads them".into(),
            Self::Missing { .. } => "install iptables, or use --backend ebpf or nftables".into(),
            Self::Failed { stderr, .. } if is_denied(stderr) => {
                "run as root, or grant CAP_NET_ADMIN and CAP_NET_RAW".into()
            }
            Self::Process(ProcessError::Run { source, .. })
            | Self::Path { source, .. }
            | Self::Nftables { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                "run as root, or grant CAP_NET_ADMIN and CAP_NET_RAW".into()
            }
            Self::Locked { .. } => {
                "find the program with `fuser -v` on that file; nothing is lost in the meantime".into()
            }
            Self::Hidden { .. } => {
                "rules were added with `nft` that iptables does not understand: move them to another table".into()
            }
            Self::WireBytes => "set count = \"ip\", or use --backend ebpf".into(),
            Self::InterfaceName { .. } => "rename it, count other interfaces, or use --backend ebpf".into(),
            Self::Process(_)
            | Self::Failed { .. }
            | Self::Path { .. }
            | Self::Nftables { .. }
            | Self::Output { .. }
            | Self::Damaged { .. }
            | Self::NotFirst { .. } => return None,
        })
    }
}

fn is_denied(stderr: &str) -> bool {
    ["Permission denied", "Operation not permitted", "must be root"].iter().any(|words| stderr.contains(words))
}
