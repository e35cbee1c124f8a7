//! PURE: the role of a chain in its set of counters, which is the last part of its name.

use std::fmt;

use super::flow::{Direction, FlowClass, word};
use super::shape::Node;

/// The role of a chain in its set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainPlace {
    /// Entered from `INPUT` or `OUTPUT`. Selects the counted interfaces.
    Entry(Direction),
    /// Separates fragments, where nobody reassembles them.
    Fragments,
    /// Counts fragments after the first, whose port is unknown.
    LateFragments,
    /// Separates TCP and UDP, and counts the rest.
    Split(Direction),
    /// Part of a tree: selects a range of ports, or counts ports.
    Node(FlowClass, Node),
    /// Counts TCP and UDP of ports that nobody watches.
    Rest(Direction),
    /// Counts refused packets by port and sends them to [`ChainPlace::Drop`]. Exists only while somebody has a budget.
    Cut(Direction),
    /// Drops every packet. It has the only rule of ours with a verdict.
    Drop,
    /// Never entered. Its rule needs reassembled datagrams, which makes the kernel reassemble them.
    Reassembly,
    /// A mark that is never entered: the table and built-in chains that did not exist before us.
    Made(Made),
    /// A mark that is never entered: a bucket of this set has been sealed.
    Sealed,
    /// Never entered. Its only rule was made with counters that are not zero, so that it shows if somebody zeroes
    /// counters.
    Tripwire,
    /// A mark that is never entered: the lowest 28 bits of the handle of the nf_tables table in which the set was made.
    /// A table that was restored from a file has another handle.
    Table(u32),
}

/// What did not exist before us and has to be removed by us: the nft variant makes tables and built-in chains on
/// demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Made {
    pub table: bool,
    pub input: bool,
    pub output: bool,
}

impl Made {
    /// Combines what two pieces made.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { table: self.table || other.table, input: self.input || other.input, output: self.output || other.output }
    }
}

impl fmt::Display for ChainPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(direction) => f.write_str(word(*direction)),
            Self::Fragments => f.write_str("frag"),
            Self::LateFragments => f.write_str("late"),
            Self::Split(direction) => write!(f, "ip-{}", word(*direction)),
            Self::Node(tree, Node { bound, level: 0 }) => write!(f, "{}-{bound:04x}", tree.letters()),
            Self::Node(tree, Node { bound, level }) => write!(f, "{}-{bound:04x}-{level}", tree.letters()),
            Self::Rest(direction) => write!(f, "rest-{}", word(*direction)),
            Self::Cut(direction) => write!(f, "cut-{}", word(*direction)),
            Self::Drop => f.write_str("drop"),
            Self::Reassembly => f.write_str("reasm"),
            Self::Made(Made { table, input, output }) => {
                f.write_str("made-")?;
                [(table, "t"), (input, "i"), (output, "o")]
                    .into_iter()
                    .filter(|(made, _)| **made)
                    .try_for_each(|(_, letter)| f.write_str(letter))
            }
            Self::Sealed => f.write_str("sealed"),
            Self::Tripwire => f.write_str("trip"),
            Self::Table(handle) => write!(f, "h-{handle:x}"),
        }
    }
}

impl ChainPlace {
    /// The mark for a table with this handle.
    pub fn table(handle: u64) -> Self {
        Self::Table(u32::try_from(handle & 0x0fff_ffff).expect("28 bits"))
    }

    /// Whether this chain only marks the set and is never entered.
    pub fn is_mark(&self) -> bool {
        match self {
            Self::Made(_) | Self::Sealed | Self::Tripwire | Self::Table(_) => true,
            Self::Entry(_)
            | Self::Fragments
            | Self::LateFragments
            | Self::Split(_)
            | Self::Node(..)
            | Self::Rest(_)
            | Self::Cut(_)
            | Self::Drop
            | Self::Reassembly => false,
        }
    }

    /// Parses what follows the set's name. `None` if this layout has no such chain.
    pub fn parse(text: &str) -> Option<Self> {
        let direction = |name: &str| Direction::BOTH.into_iter().find(|direction| word(*direction) == name);
        if let Some(direction) = direction(text) {
            return Some(Self::Entry(direction));
        }
        match text {
            "frag" => return Some(Self::Fragments),
            "late" => return Some(Self::LateFragments),
            "drop" => return Some(Self::Drop),
            "reasm" => return Some(Self::Reassembly),
            "sealed" => return Some(Self::Sealed),
            "trip" => return Some(Self::Tripwire),
            _ => {}
        }
        let (word, rest) = text.split_once('-')?;
        let place = match word {
            "ip" => Self::Split(direction(rest)?),
            "rest" => Self::Rest(direction(rest)?),
            "cut" => Self::Cut(direction(rest)?),
            "made" => {
                Self::Made(Made { table: rest.contains('t'), input: rest.contains('i'), output: rest.contains('o') })
            }
            "h" => Self::Table(u32::from_str_radix(rest, 16).ok()?),
            letters => {
                let tree = FlowClass::ALL.into_iter().find(|tree| tree.letters() == letters)?;
                let (bound, level) = rest.split_once('-').unwrap_or((rest, "0"));
                Self::Node(tree, Node { bound: u16::from_str_radix(bound, 16).ok()?, level: level.parse().ok()? })
            }
        };
        // Each chain has exactly one spelling. A name that we would write differently is not ours.
        (place.to_string() == text).then_some(place)
    }
}

#[cfg(test)]
mod tests;
