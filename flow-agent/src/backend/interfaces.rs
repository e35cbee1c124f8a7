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
mod tests;
