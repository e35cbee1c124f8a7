//! Why a backend cannot start or go on, and what a person can do about it.

pub mod iptables;

use std::io;
use std::path::PathBuf;

use self::iptables::IptablesError;
use super::MAX_PORTS;

/// Any error of the eBPF library or of a system call, boxed: they are large, and only shown.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a backend cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// More ports than this set of counters has room for.
    #[error("{wanted} ports do not fit into {slots} slots")]
    Full { wanted: usize, slots: u32 },

    /// More ports than the configuration allows.
    #[error("{wanted} ports are more than max_ports = {max_ports}")]
    TooManyPorts { wanted: usize, max_ports: u32 },

    /// A literal name that no device has.
    #[error("interface `{interface}` does not exist")]
    NoSuchInterface { interface: String, present: Vec<String> },

    /// Two named devices that see the same packets.
    #[error("`{upper}` is stacked on `{lower}`: packets that pass both would be counted twice")]
    Stacked { upper: String, lower: String },

    /// Not a name and not a glob.
    #[error("`{pattern}` is not an interface name, a glob, or `auto`")]
    Pattern {
        pattern: String,
        #[source]
        source: Option<Cause>,
    },

    /// A device whose frames the classifiers cannot read.
    #[error("interface `{interface}` has device type {device_type}, whose frames cannot be read")]
    DeviceType { interface: String, device_type: u16 },

    /// The kernel did not answer what was asked over rtnetlink.
    #[error("failed to {action} over rtnetlink")]
    Netlink {
        action: &'static str,
        #[source]
        source: io::Error,
    },

    /// Another agent runs and counts this interface.
    #[error("another agent counts on `{interface}`: {holder}")]
    Busy { interface: String, holder: String },

    /// The lock that keeps a second agent away cannot be taken.
    #[error("failed to lock {}", path.display())]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    /// No agent runs there, but somebody else's counter is attached.
    #[error("a counter that is not ours is attached to `{interface}` ({direction}): {owner}")]
    Foreign { interface: String, direction: &'static str, owner: String },

    /// A qdisc where ours should be.
    #[error("interface `{interface}` has an `{kind}` qdisc where `clsact` is needed; it is not replaced")]
    Qdisc { interface: String, kind: String },

    /// Another filter holds our place.
    #[error("interface `{interface}` ({direction}) has a `{kind}` filter at priority 1; it is not replaced")]
    FilterPlace { interface: String, direction: &'static str, kind: String },

    /// Pins of a layout that a newer release made.
    #[error("{} was made by a newer release (layout {layout}, this one knows {known})", path.display())]
    NewerLayout { path: PathBuf, layout: u32, known: u32 },

    /// A directory of pins that others could have made or changed.
    #[error("{} is not to be trusted: {why}", path.display())]
    Untrusted { path: PathBuf, why: String },

    /// A pinned map that is not what its directory's name says.
    #[error("the pinned map {} has {what} {found} instead of {expected}", path.display())]
    PinnedMap { path: PathBuf, what: &'static str, found: u64, expected: u64 },

    /// The slot table contradicts itself.
    #[error("the slot table in {} is damaged: {why}", path.display())]
    SlotTable { path: PathBuf, why: String },

    /// A file or directory of bpffs, /proc, /sys or /run.
    #[error("failed to {action} {}", path.display())]
    Path {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    /// Something that this kernel was built without, or whose module it does not find.
    #[error("this kernel has no {what}")]
    Lacks { what: &'static str },

    /// The kernel refused, and this is what may have moved it.
    #[error("not permitted to count with eBPF, missing: {}", missing.join(", "))]
    Privileges {
        missing: Vec<&'static str>,
        #[source]
        source: Box<Self>,
    },

    /// The programs or maps cannot be made.
    #[error("failed to load the eBPF {what}")]
    Load {
        what: String,
        #[source]
        source: Cause,
    },

    /// A program cannot be attached, or an attached one not be replaced.
    #[error("failed to attach to `{interface}` ({direction})")]
    Attach {
        interface: String,
        direction: &'static str,
        #[source]
        source: Cause,
    },

    /// A slot that was zeroed does not stay zero: somebody else's bytes would be billed.
    #[error("slot {slot} does not stay zero")]
    SlotInUse { slot: u32 },

    /// Budgets are to be enforced by a backend that only counts, or whose state would end with the agent.
    #[error("nobody is cut: packets can be refused only with eBPF and pinned counters")]
    CannotRefuse,

    /// More users are limited than the gate has room for.
    #[error("more users are limited than there is room for; not limited: {}", users.join(", "))]
    TooManyBudgets { users: Vec<String> },

    /// Counting by rules.
    #[error(transparent)]
    Iptables(#[from] IptablesError),
}

impl BackendError {
    /// What the reader can do about it, where there is something to say.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::TooManyPorts { max_ports: MAX_PORTS.., .. } => {
                format!("watch fewer ports; count.max_ports cannot be raised above {MAX_PORTS}")
            }
            Self::TooManyPorts { .. } => {
                format!("raise count.max_ports (at most {MAX_PORTS}), or watch fewer ports")
            }
            Self::NoSuchInterface { present, .. } => match present.as_slice() {
                [] => "there is no interface in this network namespace".into(),
                names => format!("there are: {}", names.join(", ")),
            },
            Self::Stacked { upper, lower } => format!(
                "name one of them: `{upper}`, or `{lower}`; or set `count.allow_stacked = true` to count on both"
            ),
            Self::Pattern { .. } => "interface names have 1 to 15 characters without `/`, `:` and spaces".into(),
            Self::DeviceType { .. } => "name other interfaces, or use --backend iptables".into(),
            Self::Busy { .. } => "stop the other agent, or give this one other interfaces".into(),
            Self::Foreign { .. } => {
                "start it with the state directory that it belongs to, or remove it with `flow-agent uninstall \
                 --state-dir` of that directory; if that directory is lost, `flow-agent uninstall --all` shows what is \
                 there and removes it"
                    .into()
            }
            Self::Qdisc { .. } | Self::FilterPlace { .. } => {
                "remove it, or use --backend iptables, or a kernel from 6.6 on".into()
            }
            Self::NewerLayout { .. } => {
                "run the newer release, or remove its counters with its own `flow-agent uninstall`".into()
            }
            Self::Untrusted { .. } | Self::PinnedMap { .. } | Self::SlotTable { .. } => {
                "nothing was changed; look who made it, then remove it".into()
            }
            Self::CannotRefuse => {
                "use `backend = \"ebpf\"` and a bpffs that can be written to, or set `on_quota = \"count\"`".into()
            }
            Self::TooManyBudgets { .. } => {
                "restart the agent after `flow-agent uninstall`: it then makes room for all of them".into()
            }
            Self::Lacks { .. } => "use --backend iptables, or a kernel that has it".into(),
            Self::Privileges { .. } => "run as root, or grant what is missing; or use --backend iptables".into(),
            Self::Path { source, .. } | Self::Netlink { source, .. } | Self::Lock { source, .. }
                if is_denied(source) =>
            {
                "run as root, or give it to the user who runs this".into()
            }
            Self::Iptables(error) => return error.help(),
            Self::Load { source, .. } | Self::Attach { source, .. } if is_denied(source.as_ref()) => {
                "no capability is missing: see whether the kernel's log (`dmesg`) tells more; or use --backend iptables"
                    .into()
            }
            Self::Load { .. } => "`flow-agent check` says what this kernel lacks; or use --backend iptables".into(),
            Self::Full { .. }
            | Self::Netlink { .. }
            | Self::Lock { .. }
            | Self::Path { .. }
            | Self::Attach { .. }
            | Self::SlotInUse { .. } => return None,
        })
    }
}

/// Whether the kernel refused for want of a privilege, anywhere down the chain of causes.
pub(super) fn is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    })
}

#[cfg(test)]
mod tests;
