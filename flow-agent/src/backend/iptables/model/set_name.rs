//! PURE: what our chains are called. A name says whose chain it is, which set of counters it belongs to, and its place.
//!
//! `flow-k3v9qa-1h2j4k-ti-1f40`: the instance (six characters of its sum), the set (a digit for the layout of its chains
//! and five random characters), the place. No name is longer than the 28 characters that iptables takes. The set's ipsets
//! are called likewise: `flow-k3v9qa-1h2j4k-ti4`, their place being what they count, and the family.

use std::fmt;

use sha2::{Digest, Sha256};

use super::family::Family;
use super::ipset::Ipset;
use super::place::ChainPlace;

/// What all our chains begin with.
const PREFIX: &str = "flow-";
/// The layout of the chains that this release makes and understands.
pub const LAYOUT: u8 = 1;
const TAG_CHARS: usize = 6;
const ID_CHARS: usize = 5;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// One set of counters of one instance: all of its chains share this part of their names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleSetName {
    instance: String,
    layout: u8,
    id: String,
}

impl RuleSetName {
    /// A set for the instance that [`instance_tag`] names; `random` decides its id.
    pub fn new(instance: String, random: u32) -> Self {
        Self { instance, layout: LAYOUT, id: letters(random, ID_CHARS) }
    }

    /// Whose set it is: see [`instance_tag`].
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The layout of its chains; one beyond [`LAYOUT`] is of a newer release.
    pub fn layout(&self) -> u8 {
        self.layout
    }

    /// Whether this release understands its chains and ipsets.
    pub fn is_known(&self) -> bool {
        self.layout <= LAYOUT
    }

    /// What stands in every rule that asks an ipset of this instance.
    pub fn asked_by(instance: &str) -> String {
        format!(" --match-set {PREFIX}{instance}-")
    }

    /// The set's own part of an epoch: unique among the sets that this boot has seen.
    pub fn id(&self) -> String {
        format!("{}{}", self.layout, self.id)
    }

    /// Whether `text` could be the id of a set.
    pub fn is_id(text: &str) -> bool {
        text.len() == 1 + ID_CHARS
            && text.starts_with(|layout: char| layout.is_ascii_digit())
            && text.bytes().skip(1).all(|byte| ALPHABET.contains(&byte))
    }

    /// The name of its chain at `place`.
    pub fn chain(&self, place: &ChainPlace) -> String {
        format!("{self}{place}")
    }

    /// The name of an ipset of its; those have 31 characters at most.
    pub fn ipset(&self, family: Family, ipset: Ipset) -> String {
        format!("{self}{}{}", ipset.letters(), family.digit())
    }

    /// The set that the ipset `name` of a family belongs to, and which of its it is; `None` for one that no agent made, or
    /// that is of the other family.
    pub fn parse_ipset(name: &str, family: Family) -> Option<(Self, Ipset)> {
        let (set, _) = Self::parse(name)?;
        let mut known = Ipset::every();
        let ipset = known.find(|ipset| set.ipset(family, *ipset) == name)?;
        Some((set, ipset))
    }

    /// The set that the chain `name` belongs to, and what follows; `None` for a chain that no agent made.
    pub fn parse(name: &str) -> Option<(Self, &str)> {
        let mut parts = name.strip_prefix(PREFIX)?.splitn(3, '-');
        let (instance, set, place) = (parts.next()?, parts.next()?, parts.next()?);
        let is_word = |text: &str, chars| text.len() == chars && text.bytes().all(|byte| ALPHABET.contains(&byte));
        let layout = set.bytes().next().filter(u8::is_ascii_digit)? - b'0';
        let id = &set[1..];
        (is_word(instance, TAG_CHARS) && is_word(id, ID_CHARS))
            .then(|| (Self { instance: instance.to_owned(), layout, id: id.to_owned() }, place))
    }
}

impl fmt::Display for RuleSetName {
    /// What the names of its chains begin with.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}{}-", self.instance, self.layout, self.id)
    }
}

/// How the instance `id` is written in names: the first 30 bits of its SHA-256.
pub fn instance_tag(id: &str) -> String {
    let sum = Sha256::digest(id.as_bytes());
    letters(u32::from_be_bytes([sum[0], sum[1], sum[2], sum[3]]), TAG_CHARS)
}

/// The highest bits of `number`, five a character.
fn letters(number: u32, chars: usize) -> String {
    (0..chars).map(|i| char::from(ALPHABET[(number >> (27 - 5 * i)) as usize & 31])).collect()
}

#[cfg(test)]
mod tests;
