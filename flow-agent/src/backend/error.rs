//! Errors of the backends, and what a person can do about them.

pub mod iptables;
pub mod nftables;

use std::io;
use std::path::PathBuf;

use self::iptables::IptablesError;
use self::nftables::NftablesError;
use super::MAX_PORTS;

/// Any error of the eBPF library or of a system call. Boxed because such errors are large and only displayed.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The reason why a backend cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// More ports than this set of counters has room for.
    #[error("{wanted} ports do not fit in {slots} slots")]
    Full { wanted: usize, slots: u32 },

    /// More ports than the configuration allows.
    #[error("{wanted} ports are more than max_ports = {max_ports}")]
    TooManyPorts { wanted: usize, max_ports: u32 },

    /// A literal name in the configuration that no device has.
    #[error("interface `{interface}` does not exist")]
    NoSuchInterface { interface: String, present: Vec<String> },

    /// Two literally named devices that see the same packets.
    #[error("`{upper}` is stacked on `{lower}`: packets that pass both would be counted twice")]
    Stacked { upper: String, lower: String },

    /// The text is neither an interface name nor a glob.
    #[error("`{pattern}` is not an interface name, a glob, or `auto`")]
    Pattern {
        pattern: String,
        #[source]
        source: Option<Cause>,
    },

    /// A device whose frames the classifiers cannot read.
    #[error("interface `{interface}` has device type {device_type}, whose frames cannot be read")]
    DeviceType { interface: String, device_type: u16 },

    /// The kernel did not answer an rtnetlink request.
    #[error("failed to {action} over rtnetlink")]
    Netlink {
        action: &'static str,
        #[source]
        source: io::Error,
    },

    /// Another agent is running and counts on this interface.
    #[error("another agent counts on `{interface}`: {holder}")]
    Busy { interface: String, holder: String },

    /// The lock that prevents a second agent cannot be taken.
    #[error("failed to lock {}", path.display())]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    /// No agent is running there, but somebody else's counter is attached.
    #[error("a counter that is not ours is attached to `{interface}` ({direction}): {owner}")]
    Foreign { interface: String, direction: &'static str, owner: String },

    /// The device has another qdisc where `clsact` is needed.
    #[error("interface `{interface}` has an `{kind}` qdisc where `clsact` is needed; it was not replaced")]
    Qdisc { interface: String, kind: String },

    /// A filter of another kind occupies the place of ours.
    #[error("interface `{interface}` ({direction}) has a `{kind}` filter at priority 1; it was not replaced")]
    FilterPlace { interface: String, direction: &'static str, kind: String },

    /// A newer release made pins with a layout that this release does not know.
    #[error("{} was created by a newer release (layout {layout}; this release knows {known})", path.display())]
    NewerLayout { path: PathBuf, layout: u32, known: u32 },

    /// A directory of pins that other users could have made or changed.
    #[error("{} cannot be trusted: {why}", path.display())]
    Untrusted { path: PathBuf, why: String },

    /// A pinned map does not match the name of its directory.
    #[error("the pinned map {} has {what} {found} instead of {expected}", path.display())]
    PinnedMap { path: PathBuf, what: &'static str, found: u64, expected: u64 },

    /// The slot table contradicts itself.
    #[error("the slot table in {} is damaged: {why}", path.display())]
    SlotTable { path: PathBuf, why: String },

    /// An access to a file or directory in bpffs, /proc, /sys or /run failed.
    #[error("failed to {action} {}", path.display())]
    Path {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    /// This kernel was built without a feature, or its module cannot be found.
    #[error("this kernel has no {what}")]
    Lacks { what: &'static str },

    /// The kernel refused, possibly because of these missing privileges.
    #[error("not permitted to count with eBPF; missing: {}", missing.join(", "))]
    Privileges {
        missing: Vec<&'static str>,
        #[source]
        source: Box<Self>,
    },

    /// The programs or maps cannot be created.
    #[error("failed to load the eBPF {what}")]
    Load {
        what: String,
        #[source]
        source: Cause,
    },

    /// A program cannot be attached, or an attached one cannot be replaced.
    #[error("failed to attach to `{interface}` ({direction})")]
    Attach {
        interface: String,
        direction: &'static str,
        #[source]
        source: Cause,
    },

    /// A slot that was zeroed does not stay zero, so its port would be billed for somebody else's bytes.
    #[error("slot {slot} did not stay zero")]
    SlotInUse { slot: u32 },

    /// Budgets cannot be enforced, because the counters are not pinned and limits would end with the agent.
    #[error("nobody is cut: packets can be refused only with eBPF and pinned counters")]
    CannotRefuse,

    /// More users are limited than the gate has room for.
    #[error("there is no room for this many users with limits; not limited: {}", users.join(", "))]
    TooManyBudgets { users: Vec<String> },

    /// An error of the iptables backend.
    #[error(transparent)]
    Iptables(#[from] IptablesError),

    /// An error of the nftables backend.
    #[error(transparent)]
    Nftables(#[from] NftablesError),
}

impl BackendError {
    /// What the reader can do about the error, if there is anything.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::TooManyPorts { max_ports: MAX_PORTS.., .. } => {
                format!("watch fewer ports; count.max_ports cannot be raised above {MAX_PORTS}")
            }
            Self::TooManyPorts { .. } => {
                format!("raise count.max_ports (at most {MAX_PORTS}), or watch fewer ports")
            }
            Self::NoSuchInterface { present, .. } => match present.as_slice() {
                [] => "this network namespace has no interfaces".into(),
                names => format!("existing interfaces: {}", names.join(", ")),
            },
            Self::Stacked { upper, lower } => {
                format!("choose `{upper}` or `{lower}`, or set `count.allow_stacked = true` to count on both")
            }
            Self::Pattern { .. } => "interface names have 1 to 15 characters without `/`, `:` and spaces".into(),
            Self::DeviceType { .. } => "choose other interfaces, or use --backend nftables or iptables".into(),
            Self::Busy { .. } => "stop the other agent, or choose other interfaces for this one".into(),
            Self::Foreign { .. } => {
                "start the agent with the state directory that the counter belongs to, or remove it with `flow-agent \
                 uninstall --state-dir` for that directory; if that directory is lost, `flow-agent uninstall --all` \
                 shows what is there and removes it"
                    .into()
            }
            Self::Qdisc { .. } | Self::FilterPlace { .. } => {
                "remove it, or use --backend nftables or iptables, or kernel 6.6 or newer".into()
            }
            Self::NewerLayout { .. } => {
                "run the newer release, or remove its counters with its own `flow-agent uninstall`".into()
            }
            Self::Untrusted { .. } | Self::PinnedMap { .. } | Self::SlotTable { .. } => {
                "nothing was changed; find out who created it, then remove it".into()
            }
            Self::CannotRefuse => "use `backend = \"ebpf\"` and a writable bpffs, or set `on_quota = \"count\"`".into(),
            Self::TooManyBudgets { .. } => {
                "restart the agent after `flow-agent uninstall`; it then makes room for all of them".into()
            }
            Self::Lacks { .. } => "use --backend nftables or iptables, or a kernel that has it".into(),
            Self::Privileges { .. } => {
                "run as root, or grant what is missing; or use --backend nftables or iptables".into()
            }
            Self::Path { source, .. } | Self::Netlink { source, .. } | Self::Lock { source, .. }
                if is_denied(source) =>
            {
                "run as root, or change its owner to the user who runs this".into()
            }
            Self::Iptables(error) => return error.help(),
            Self::Nftables(error) => return error.help(),
            Self::Load { source, .. } | Self::Attach { source, .. } if is_denied(source.as_ref()) => {
                "no capability is missing; check the kernel log (`dmesg`), or use --backend nftables or iptables".into()
            }
            Self::Load { .. } => "`flow-agent check` says what this kernel lacks; alternatively, use \
                                  --backend nftables or iptables"
                .into(),
            Self::Full { .. }
            | Self::Netlink { .. }
            | Self::Lock { .. }
            | Self::Path { .. }
            | Self::Attach { .. }
            | Self::SlotInUse { .. } => return None,
        })
    }
}

/// Whether a missing privilege is anywhere in the chain of causes.
pub(super) fn is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    })
}

#[cfg(test)]
mod tests;
