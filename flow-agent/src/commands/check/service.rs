//! How the agent is started here, and where its log is.

use std::path::Path;

/// What starts services on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServiceManager {
    Systemd,
    OpenRc,
    /// Nothing that is known: the agent is started by hand, or by something of the operator's.
    Unknown,
}

impl ServiceManager {
    /// That of this machine.
    pub(super) fn here() -> Self {
        Self::below(Path::new("/"))
    }

    fn below(root: &Path) -> Self {
        match () {
            () if root.join("run/systemd/system").is_dir() => Self::Systemd,
            () if root.join("sbin/openrc-run").exists() => Self::OpenRc,
            () => Self::Unknown,
        }
    }

    /// The command that starts the agent.
    pub(super) fn start(self) -> &'static str {
        match self {
            Self::Systemd => "systemctl enable --now flow-agent",
            Self::OpenRc => "rc-service flow-agent start",
            Self::Unknown => "flow-agent run",
        }
    }

    /// What restarts the agent.
    pub(super) fn restart(self) -> &'static str {
        match self {
            Self::Systemd => "`systemctl restart flow-agent`",
            Self::OpenRc => "`rc-service flow-agent restart`",
            Self::Unknown => "stop the agent and run `flow-agent run`",
        }
    }

    /// Where the agent's log is.
    pub(super) fn log(self) -> &'static str {
        match self {
            Self::Systemd => "`journalctl -u flow-agent`",
            Self::OpenRc => "/var/log/flow-agent.log",
            Self::Unknown => "what `flow-agent run` prints",
        }
    }
}

#[cfg(test)]
mod tests;
