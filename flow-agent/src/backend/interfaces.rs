//! Which interfaces are counted: pure selection over what the kernel lists.

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};

use super::BackendError;
use super::interface::Interface;
use super::stacks::{self, LeftOut, Pair, Resolved};
use crate::ledger::reading::{Moment, Unseen};

/// What the configuration names: `auto`, names and globs.
#[derive(Clone, Debug)]
pub struct Patterns {
    patterns: Vec<Pattern>,
    /// As they are written, for gaps of no interface in particular.
    text: String,
    stacked: Stacked,
}

/// What is done about devices that see the same packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stacked {
    /// All of them are counted: somebody means it.
    Allowed,
    /// One of two is counted: programs see a packet on each device that it passes.
    EachSees,
    /// The topmost is counted: rules see a packet once, as that of the bridge, bond or VRF that it came in by.
    TopmostSees,
}

/// Why time in which no interface was counted is a gap.
pub const NO_INTERFACE: &str = "no interface";

#[derive(Clone, Debug)]
enum Pattern {
    Auto,
    Name(String),
    Glob(GlobMatcher),
}

/// A glob for the interface of this name and no other, which may be gone.
pub fn only(name: &str) -> String {
    format!("{{{}}}", globset::escape(name).replace(',', "[,]"))
}

/// What is to be counted now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Sorted by name, each once.
    pub chosen: Vec<Interface>,
    /// Named literally, and not there.
    pub absent: BTreeSet<String>,
    /// Matched by a glob, with a device type whose frames cannot be read.
    pub unreadable: BTreeSet<String>,
    /// Named literally, or carrying a default route, with such a device type.
    pub refused: Vec<Interface>,
    /// Not counted, because another device that is counted sees the same packets.
    pub left_out: Vec<LeftOut>,
    /// Named literally, both of them, though they see the same packets: the lower one is not chosen. For rules: the lower
    /// one is named, and they see its packets as those of the upper one.
    pub stacked: Vec<Pair>,
}

impl Selection {
    /// # Errors
    /// [`BackendError::Stacked`] for two devices that were named and see the same packets.
    pub fn refuse_stacked(&self) -> Result<(), BackendError> {
        match self.stacked.first() {
            Some(Pair { upper, lower }) => Err(BackendError::Stacked { upper: upper.clone(), lower: lower.clone() }),
            None => Ok(()),
        }
    }
}

impl Patterns {
    /// Reads names, globs and `auto`.
    ///
    /// # Errors
    /// [`BackendError::Pattern`] for what can be no interface.
    pub fn parse(patterns: &[String]) -> Result<Self, BackendError> {
        let text = patterns.join(" ");
        let patterns = patterns.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self { patterns, text, stacked: Stacked::EachSees })
    }

    /// The same for rules, which see each packet once.
    #[must_use]
    pub fn for_rules(mut self) -> Self {
        if self.stacked == Stacked::EachSees {
            self.stacked = Stacked::TopmostSees;
        }
        self
    }

    /// The same; `allowed`: devices that see the same packets are counted beside each other.
    #[must_use]
    pub fn allow_stacked(mut self, allowed: bool) -> Self {
        if allowed {
            self.stacked = Stacked::Allowed;
        }
        self
    }

    /// Picks from `present`. `auto` without any default route keeps what it has picked before (`counted`, by index):
    /// a route that is being renewed is no reason to stop.
    pub fn select(&self, present: &[Interface], counted: &BTreeSet<u32>) -> Selection {
        let mut selection = Selection::default();
        let mut chosen = BTreeSet::new();
        let routed = present.iter().any(Interface::is_default);
        for pattern in &self.patterns {
            if let Pattern::Name(name) = pattern
                && !present.iter().any(|interface| interface.name == *name)
            {
                selection.absent.insert(name.clone());
            }
            for interface in present.iter().filter(|interface| pattern.picks(interface, routed, counted)) {
                match (interface.link_layer(), pattern) {
                    (Some(_), _) => {
                        chosen.insert(interface.index);
                    }
                    (None, Pattern::Glob(_)) => {
                        selection.unreadable.insert(interface.name.clone());
                    }
                    (None, Pattern::Auto | Pattern::Name(_)) if selection.refused.contains(interface) => {}
                    (None, Pattern::Auto | Pattern::Name(_)) => selection.refused.push(interface.clone()),
                }
            }
        }
        let resolved = self.unstack(present, &mut chosen);
        (selection.left_out, selection.stacked) = (resolved.left_out, resolved.named);
        selection.chosen = present.iter().filter(|interface| chosen.contains(&interface.index)).cloned().collect();
        selection.chosen.sort_by(|a, b| a.name.cmp(&b.name));
        selection
    }

    /// Takes out of `chosen` (by index) what would be counted twice, or never; what that is.
    fn unstack(&self, present: &[Interface], chosen: &mut BTreeSet<u32>) -> Resolved {
        let picked: Vec<&Interface> = present.iter().filter(|interface| chosen.contains(&interface.index)).collect();
        let resolved = match self.stacked {
            Stacked::Allowed => Resolved::default(),
            Stacked::EachSees => stacks::resolve(&picked, present, |interface| self.name_literally(&interface.name)),
            Stacked::TopmostSees => {
                let mut resolved = Resolved::default();
                for lower in picked {
                    let top = stacks::topmost_master(lower, present);
                    let (upper, lower) = (top.name.clone(), lower.name.clone());
                    if upper == lower {
                        continue;
                    }
                    if self.name_literally(&lower) {
                        resolved.named.push(Pair { upper: upper.clone(), lower: lower.clone() });
                    }
                    chosen.insert(top.index);
                    resolved.left_out.push(LeftOut { interface: lower, counted: upper, is_missed: false });
                }
                resolved
            }
        };
        let is_out = |interface: &Interface| resolved.left_out.iter().any(|left| left.interface == interface.name);
        present.iter().filter(|interface| is_out(interface)).for_each(|interface| {
            chosen.remove(&interface.index);
        });
        resolved
    }

    /// The time from `start` to `end`, in which no interface at all was counted.
    pub fn nothing_counted(&self, start: Moment, end: Moment) -> Unseen {
        Unseen { start, end, interface: self.text.clone(), why: NO_INTERFACE.to_owned() }
    }

    /// Whether the default routes matter.
    pub fn follow_routes(&self) -> bool {
        self.patterns.iter().any(|pattern| matches!(pattern, Pattern::Auto))
    }

    /// Whether `name` is picked because it is named.
    pub fn name_literally(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| matches!(pattern, Pattern::Name(literal) if literal == name))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, BackendError> {
        let bad = |source| BackendError::Pattern { pattern: text.to_owned(), source };
        if text == "auto" {
            return Ok(Self::Auto);
        }
        // What the kernel takes as a name (dev_valid_name), plus what a glob adds.
        let is_glob = text.contains(['*', '?', '[', '{']);
        let fits = is_glob || text.len() < 16;
        let forbidden = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        if text.is_empty() || text == "." || text == ".." || text.contains(forbidden) || !fits {
            return Err(bad(None));
        }
        if is_glob {
            let glob = Glob::new(text).map_err(|error| bad(Some(Box::new(error))))?;
            return Ok(Self::Glob(glob.compile_matcher()));
        }
        Ok(Self::Name(text.to_owned()))
    }

    fn picks(&self, interface: &Interface, routed: bool, counted: &BTreeSet<u32>) -> bool {
        match self {
            Self::Auto if routed => interface.is_default(),
            Self::Auto => counted.contains(&interface.index) && !interface.is_loopback(),
            Self::Name(name) => interface.name == *name,
            Self::Glob(glob) => glob.is_match(&interface.name),
        }
    }
}

impl Interface {
    fn is_loopback(&self) -> bool {
        self.name == "lo"
    }

    fn is_default(&self) -> bool {
        self.default_route && !self.is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::super::interface::LinkLayer;
    use super::*;

    fn interface(index: u32, name: &str, device_type: u16, default_route: bool) -> Interface {
        Interface { index, name: name.into(), device_type, default_route, ..Interface::default() }
    }

    fn present() -> Vec<Interface> {
        vec![
            interface(1, "lo", 772, false),
            interface(2, "eth0", 1, true),
            interface(3, "eth1", 1, false),
            interface(4, "wg0", 0xfffe, false),
            interface(5, "ib0", 32, false),
        ]
    }

    fn select(patterns: &[&str], present: &[Interface], counted: &[u32]) -> Result<Selection, BackendError> {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        Ok(Patterns::parse(&patterns)?.select(present, &counted.iter().copied().collect()))
    }

    fn names(selection: &Selection) -> Vec<&str> {
        selection.chosen.iter().map(|interface| interface.name.as_str()).collect()
    }

    #[test]
    fn auto_is_what_carries_a_default_route() {
        assert_eq!(names(&select(&["auto"], &present(), &[]).unwrap()), ["eth0"]);
        let mut both = present();
        both[2].default_route = true;
        assert_eq!(names(&select(&["auto"], &both, &[]).unwrap()), ["eth0", "eth1"]);
    }

    #[test]
    fn auto_never_picks_loopback() {
        let only_loopback = [interface(1, "lo", 772, true)];
        assert!(select(&["auto"], &only_loopback, &[1]).unwrap().chosen.is_empty());
    }

    #[test]
    fn auto_follows_a_moved_route_but_not_a_vanished_one() {
        let mut moved = present();
        moved[1].default_route = false;
        assert_eq!(names(&select(&["auto"], &moved, &[2]).unwrap()), ["eth0"]);
        moved[2].default_route = true;
        assert_eq!(names(&select(&["auto"], &moved, &[2]).unwrap()), ["eth1"]);
    }

    #[test]
    fn names_and_globs_pick_each_interface_once() {
        let selection = select(&["eth*", "eth1", "wg[0-9]", "auto"], &present(), &[]).unwrap();
        assert_eq!(names(&selection), ["eth0", "eth1", "wg0"]);
    }

    #[test]
    fn loopback_is_counted_when_it_is_named() {
        assert_eq!(names(&select(&["lo"], &present(), &[]).unwrap()), ["lo"]);
    }

    #[test]
    fn of_stacked_devices_one_is_counted_and_two_names_are_refused() {
        let mut present = present();
        present[1].master = Some(9);
        present.push(Interface { kind: "bridge".into(), ..interface(9, "br0", 1, true) });
        let left_out = LeftOut { interface: "eth0".into(), counted: "br0".into(), is_missed: false };
        for patterns in [&["auto"][..], &["*0"], &["br0", "eth*"]] {
            let selection = select(patterns, &present, &[]).unwrap();
            assert!(names(&selection).contains(&"br0") && !names(&selection).contains(&"eth0"), "{patterns:?}");
            assert_eq!(selection.left_out, std::slice::from_ref(&left_out));
            selection.refuse_stacked().unwrap();
        }
        assert_eq!(names(&select(&["eth0", "b*"], &present, &[]).unwrap()), ["eth0"]);
        let both = ["br0".to_owned(), "eth0".to_owned()];
        let error = Patterns::parse(&both).unwrap().select(&present, &BTreeSet::new()).refuse_stacked().unwrap_err();
        assert_eq!(error.to_string(), "`br0` is stacked on `eth0`: packets that pass both would be counted twice");
        let allowed = Patterns::parse(&both).unwrap().allow_stacked(true);
        for patterns in [allowed.clone(), allowed.for_rules()] {
            let selection = patterns.select(&present, &BTreeSet::new());
            assert_eq!(names(&selection), ["br0", "eth0"]);
            selection.refuse_stacked().unwrap();
        }
    }

    #[test]
    fn rules_are_told_the_device_that_packets_come_in_by() {
        let mut present = present();
        present[1].master = Some(9);
        present.push(Interface { kind: "bridge".into(), ..interface(9, "br0", 1, false) });
        let rules = |name: &str| Patterns::parse(&[name.to_owned()]).unwrap().for_rules();
        let selection = rules("auto").select(&present, &BTreeSet::new());
        assert_eq!(names(&selection), ["br0"]);
        selection.refuse_stacked().unwrap();
        assert!(rules("eth0").select(&present, &BTreeSet::new()).refuse_stacked().is_err());
    }

    #[test]
    fn an_absent_name_is_said_and_an_absent_glob_is_not() {
        let selection = select(&["eth9", "tun*"], &present(), &[]).unwrap();
        assert_eq!(selection.absent, ["eth9".to_owned()].into());
        assert!(selection.chosen.is_empty());
    }

    #[test]
    fn an_interface_that_may_be_gone_is_picked_alone() {
        let mut present = present();
        present.push(interface(9, "a,b[1]*{", 1, false));
        for name in ["eth0", "a,b[1]*{"] {
            assert_eq!(names(&select(&[&only(name)], &present, &[]).unwrap()), [name]);
        }
        assert_eq!(select(&[&only("eth")], &present, &[]).unwrap(), Selection::default());
    }

    #[test]
    fn an_unreadable_device_is_refused_by_name_and_skipped_by_a_glob() {
        let refused = select(&["ib0", "ib0"], &present(), &[]).unwrap().refused;
        assert_eq!(refused.iter().map(|interface| interface.device_type).collect::<Vec<_>>(), [32]);
        let selection = select(&["ib*", "eth0"], &present(), &[]).unwrap();
        assert_eq!(names(&selection), ["eth0"]);
        assert_eq!(selection.unreadable, ["ib0".to_owned()].into());
    }

    #[test]
    fn the_device_type_decides_the_programs() {
        let layer = |device_type| interface(9, "x", device_type, false).link_layer();
        assert_eq!((layer(1), layer(772)), (Some(LinkLayer::Ethernet), Some(LinkLayer::Ethernet)));
        for raw in [0xfffe, 519, 512, 776, 768, 769] {
            assert_eq!(layer(raw), Some(LinkLayer::Ip), "{raw}");
        }
        assert_eq!(layer(801), None);
    }

    #[test]
    fn what_can_be_no_interface_is_refused() {
        for bad in ["", "a/b", "eth0:1", "sixteen-letters-", "a b", "..", "[a"] {
            assert!(matches!(select(&[bad], &[], &[]), Err(BackendError::Pattern { .. })), "{bad}");
        }
    }
}
