//! Errors of the nftables backend, and what a person can do about them.

use std::io;
use std::path::PathBuf;

use crate::backend::Cause;
use crate::process::ProcessError;

/// The reason why the nftables backend cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum NftablesError {
    #[error("`nft` is not installed")]
    Missing,

    #[error(transparent)]
    Process(#[from] ProcessError),

    /// `nft` failed. Its message on stderr is passed on unchanged.
    #[error("{} failed ({status}): {stderr}", program.display())]
    Failed { program: PathBuf, status: String, stderr: String },

    #[error("failed to {action} over nf_tables netlink")]
    Netlink {
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

    /// The counters that were just made are not listed as they were made.
    #[error("{} does not make or list sets with counters as expected", program.display())]
    Unsuitable {
        program: PathBuf,
        #[source]
        source: Cause,
    },

    /// Somebody changed our table. The next inspection makes new counters.
    #[error("another program changed the counters")]
    Damaged {
        #[source]
        source: Cause,
    },

    /// Packets may pass before they are counted. The next inspection repairs that.
    #[error("{why}")]
    NotFirst { why: String },

    #[error("count = \"wire\" needs eBPF: nftables sees packets before they are segmented for the wire")]
    WireBytes,

    #[error("interface `{interface}` has a name that cannot be used in a rule")]
    InterfaceName { interface: String },
}

impl NftablesError {
    /// Whether this host cannot count with nftables, so that another backend may do better.
    pub fn is_of_this_host(&self) -> bool {
        match self {
            Self::Missing
            | Self::Process(_)
            | Self::Failed { .. }
            | Self::Netlink { .. }
            | Self::Output { .. }
            | Self::Unsuitable { .. } => true,
            Self::Damaged { .. } | Self::NotFirst { .. } | Self::WireBytes | Self::InterfaceName { .. } => false,
        }
    }

    /// What the reader can do about the error, if there is anything.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Missing => "install nftables, or use another backend; counters that exist go on counting until \
                              `flow-agent uninstall` removes them"
                .into(),
            Self::Failed { stderr, .. } if stderr.contains("Operation not permitted") => {
                "run as root, or grant CAP_NET_ADMIN".into()
            }
            Self::Process(ProcessError::Run { source, .. }) | Self::Netlink { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                "run as root, or grant CAP_NET_ADMIN".into()
            }
            Self::Unsuitable { .. } => {
                "nft 1.0.6 and Linux 5.10 or newer are needed; use --backend iptables on older hosts".into()
            }
            Self::WireBytes => "set count = \"ip\", or use --backend ebpf".into(),
            Self::InterfaceName { .. } => "rename it, count other interfaces, or use --backend ebpf".into(),
            Self::Process(_)
            | Self::Failed { .. }
            | Self::Netlink { .. }
            | Self::Output { .. }
            | Self::Damaged { .. }
            | Self::NotFirst { .. } => return None,
        })
    }
}
