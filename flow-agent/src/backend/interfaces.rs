//! Selects the interfaces to count from those that the kernel lists. Pure.

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};

use super::BackendError;
use super::interface::Interface;
use super::stacks::{self, LeftOut, Pair, Resolved};
use crate::ledger::reading::{Moment, Unseen};

/// The interfaces in the configuration: `auto`, names and globs.
#[derive(Clone, Debug)]
pub struct Patterns {
    patterns: Vec<Pattern>,
    /// The patterns as they were written, for gaps that concern no particular interface.
    text: String,
    stacked: Stacked,
}

/// How to treat devices that see the same packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stacked {
    /// Count on all of them, because the configuration allows it explicitly.
    Allowed,
    /// Count on one of each two, because programs see a packet on every device that it passes.
    EachSees,
    /// Count on the topmost, because rules see a packet once, as coming in by the bridge, bond or VRF.
    TopmostSees,
}

/// The reason given for a gap in which no interface was counted.
pub const NO_INTERFACE: &str = "no interface";

#[derive(Clone, Debug)]
enum Pattern {
    Auto,
    Name(String),
    Glob(GlobMatcher),
}

/// A glob that matches this interface name and no other. Unlike a literal name, it may match nothing.
pub fn only(name: &str) -> String {
    format!("{{{}}}", globset::escape(name).replace(',', "[,]"))
}

/// The result of a selection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The devices to count, sorted by name, without duplicates.
    pub chosen: Vec<Interface>,
    /// Literal names that no device has.
    pub absent: BTreeSet<String>,
    /// Devices that match a glob but have a device type whose frames cannot be read.
    pub unreadable: BTreeSet<String>,
    /// Devices with such a type that are named literally or carry a default route.
    pub refused: Vec<Interface>,
    /// Devices that are not counted because another counted device sees the same packets.
    pub left_out: Vec<LeftOut>,
    /// Pairs that see the same packets and are both named literally; the lower one is not chosen. With rules, pairs
    /// whose lower device is named literally although rules see its packets as those of the upper one.
    pub stacked: Vec<Pair>,
}

/// The indices of the devices with these names, of those that are present.
pub fn indices_of(names: &BTreeSet<String>, present: &[Interface]) -> BTreeSet<u32> {
    present.iter().filter(|interface| names.contains(&interface.name)).map(|interface| interface.index).collect()
}

impl Selection {
    /// Fails if literally named devices see the same packets.
    ///
    /// # Errors
    /// [`BackendError::Stacked`] for the first such pair.
    pub fn refuse_stacked(&self) -> Result<(), BackendError> {
        match self.stacked.first() {
            Some(Pair { upper, lower }) => Err(BackendError::Stacked { upper: upper.clone(), lower: lower.clone() }),
            None => Ok(()),
        }
    }
}

impl Patterns {
    /// Parses names, globs and `auto`.
    ///
    /// # Errors
    /// [`BackendError::Pattern`] for a text that cannot be an interface.
    pub fn parse(patterns: &[String]) -> Result<Self, BackendError> {
        let text = patterns.join(" ");
        let patterns = patterns.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self { patterns, text, stacked: Stacked::EachSees })
    }

    /// Adapts the patterns to rules, which see each packet only once.
    #[must_use]
    pub fn for_rules(mut self) -> Self {
        if self.stacked == Stacked::EachSees {
            self.stacked = Stacked::TopmostSees;
        }
        self
    }

    /// If `allowed`, counts on devices even if they see the same packets.
    #[must_use]
    pub fn allow_stacked(mut self, allowed: bool) -> Self {
        if allowed {
            self.stacked = Stacked::Allowed;
        }
        self
    }

    /// Selects from `present`. Without any default route, `auto` keeps what it selected before (`counted`, by index),
    /// because a route that is just being renewed is no reason to stop counting, nor to begin later after a restart.
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

    /// Removes from `chosen` (by index) what would be counted twice or never. Returns what was removed.
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

    /// A gap from `start` to `end` in which no interface at all was counted.
    pub fn nothing_counted(&self, start: Moment, end: Moment) -> Unseen {
        Unseen { start, end, interface: self.text.clone(), why: NO_INTERFACE.to_owned() }
    }

    /// Whether the selection depends on default routes.
    pub fn follow_routes(&self) -> bool {
        self.patterns.iter().any(|pattern| matches!(pattern, Pattern::Auto))
    }

    /// Whether a pattern is exactly this name.
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
        // The rules of the kernel for names (dev_valid_name), plus the characters of globs.
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
