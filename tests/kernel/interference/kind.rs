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
    /// Sets in a table of nftables.
    Native,
    /// eBPF programs on TCX links.
    Tcx,
    /// eBPF programs in filters on clsact.
    Clsact,
}

impl Kind {
    pub const OF_RULES: [Self; 4] = [Self::Ipset, Self::Tree, Self::LegacyTree, Self::Native];
    pub const OF_EBPF: [Self; 2] = [Self::Tcx, Self::Clsact];
    pub const ALL: [Self; 6] = [Self::Ipset, Self::Tree, Self::LegacyTree, Self::Native, Self::Tcx, Self::Clsact];

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

    /// Whether rules of iptables count.
    pub fn is_iptables(self) -> bool {
        !self.is_ebpf() && self != Self::Native
    }

    /// Whether nothing that is done to rules of iptables concerns the counters.
    pub fn is_apart_from_iptables(self) -> bool {
        !self.is_iptables()
    }

    /// Whether the host's iptables is the one for nf_tables.
    pub fn is_with_nft(self) -> bool {
        self != Self::LegacyTree
    }

    /// The programs that the agent finds; with eBPF and nftables, those that others use.
    pub fn variant(self) -> Option<Variant> {
        let (name, has_ipset) = match self {
            Self::Ipset => ("nft", true),
            Self::Tree | Self::Native | Self::Tcx | Self::Clsact => ("nft", false),
            Self::LegacyTree => ("legacy", false),
        };
        Variant::both(has_ipset).into_iter().find(|variant| variant.name == name)
    }

    /// The arguments after `run` with which the agent is started. Short buckets give a case several of them.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Ipset | Self::Tree | Self::LegacyTree => &["--backend", "iptables", "--checkpoint", "1s"],
            Self::Native => &["--backend", "nftables", "--checkpoint", "1s"],
            Self::Tcx => &["--backend", "ebpf", "--attach", "tcx", "--checkpoint", "1s", "--bucket", "5s"],
            Self::Clsact => &["--backend", "ebpf", "--attach", "clsact", "--checkpoint", "1s", "--bucket", "5s"],
        }
    }
}
