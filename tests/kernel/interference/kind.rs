//! The kinds of counters with which the catalogue is played.

use crate::common::device::DeviceObserver;
use crate::common::variant::Variant;
use crate::support::has_tcx;

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rules of iptables-nft that use ipsets.
    Ipset,
    /// A tree of rules of iptables-nft.
    Tree,
    /// A tree of rules of iptables-legacy.
    LegacyTree,
    /// eBPF programs on TCX links.
    Tcx,
    /// eBPF programs in filters on clsact.
    Clsact,
}

impl Kind {
    pub const OF_RULES: [Self; 3] = [Self::Ipset, Self::Tree, Self::LegacyTree];
    pub const OF_EBPF: [Self; 2] = [Self::Tcx, Self::Clsact];
    pub const ALL: [Self; 5] = [Self::Ipset, Self::Tree, Self::LegacyTree, Self::Tcx, Self::Clsact];

    /// Whether this host can play it. If not, prints on stderr what is missing.
    pub fn is_possible(self) -> bool {
        DeviceObserver::is_possible()
            && crate::common::have_program("xtables-nft-multi", "the catalogue of interference")
            && (self != Self::Ipset || crate::common::have_program("ipset", "the catalogue of interference"))
            && (self != Self::Tcx || has_tcx())
    }

    pub fn is_ebpf(self) -> bool {
        Self::OF_EBPF.contains(&self)
    }

    /// Whether the host's iptables is the one for nf_tables.
    pub fn is_with_nft(self) -> bool {
        self != Self::LegacyTree
    }

    /// The programs that the agent finds; with eBPF, those that others use.
    pub fn variant(self) -> Option<Variant> {
        let (name, has_ipset) = match self {
            Self::Ipset => ("nft", true),
            Self::Tree | Self::Tcx | Self::Clsact => ("nft", false),
            Self::LegacyTree => ("legacy", false),
        };
        Variant::both(has_ipset).into_iter().find(|variant| variant.name == name)
    }

    /// The arguments after `run` with which the agent is started. Short buckets give a case several of them.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Ipset | Self::Tree | Self::LegacyTree => &["--backend", "iptables", "--checkpoint", "1s"],
            Self::Tcx => &["--backend", "ebpf", "--attach", "tcx", "--checkpoint", "1s", "--bucket", "5s"],
            Self::Clsact => &["--backend", "ebpf", "--attach", "clsact", "--checkpoint", "1s", "--bucket", "5s"],
        }
    }
}
