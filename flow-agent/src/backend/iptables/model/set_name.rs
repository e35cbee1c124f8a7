//! PURE: the names of our chains. A name says which instance made the chain, which set it belongs to, and what its role
//! is.
//!
//! In `flow-k3v9qa-1h2j4k-ti-1f40` these are the instance (six characters of a hash), the set (a digit for its layout
//! and five random characters), and the role. No name is longer than the 28 characters that iptables allows. The set's
//! ipsets have similar names, such as `flow-k3v9qa-1h2j4k-ti4`, which end with what they count and the address family.

use std::fmt;

use sha2::{Digest, Sha256};

use super::family::Family;
use super::ipset::Ipset;
use super::place::ChainPlace;

/// The prefix of all our chains.
const PREFIX: &str = "flow-";
/// The layout of chains that this release makes and understands.
pub const LAYOUT: u8 = 1;
const TAG_CHARS: usize = 6;
const ID_CHARS: usize = 5;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The identity of a set of counters, which is the common part of the names of its chains.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleSetName {
    instance: String,
    layout: u8,
    id: String,
}

impl RuleSetName {
    /// A name for a new set of the instance with this [`instance_tag`]. `random` determines its id.
    pub fn new(instance: String, random: u32) -> Self {
        Self { instance, layout: LAYOUT, id: letters(random, ID_CHARS) }
    }

    /// The tag of the instance; see [`instance_tag`].
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The layout of its chains. A value above [`LAYOUT`] was written by a newer release.
    pub fn layout(&self) -> u8 {
        self.layout
    }

    /// Whether this release understands its chains and ipsets.
    pub fn is_known(&self) -> bool {
        self.layout <= LAYOUT
    }

    /// A text that occurs in every rule with an ipset of this instance.
    pub fn asked_by(instance: &str) -> String {
        format!(" --match-set {PREFIX}{instance}-")
    }

    /// The set's part of an epoch, which is unique among the sets during this boot.
    pub fn id(&self) -> String {
        format!("{}{}", self.layout, self.id)
    }

    /// Whether `text` has the form of a set's id.
    pub fn is_id(text: &str) -> bool {
        text.len() == 1 + ID_CHARS
            && text.starts_with(|layout: char| layout.is_ascii_digit())
            && text.bytes().skip(1).all(|byte| ALPHABET.contains(&byte))
    }

    /// The name of the set's chain at `place`.
    pub fn chain(&self, place: &ChainPlace) -> String {
        format!("{self}{place}")
    }

    /// The name of one of the set's ipsets. Such names may have up to 31 characters.
    pub fn ipset(&self, family: Family, ipset: Ipset) -> String {
        format!("{self}{}{}", ipset.letters(), family.digit())
    }

    /// Parses the name of an ipset of this family into its set and role. `None` if no agent made it, or if it belongs
    /// to the other family.
    pub fn parse_ipset(name: &str, family: Family) -> Option<(Self, Ipset)> {
        let (set, _) = Self::parse(name)?;
        let mut known = Ipset::every();
        let ipset = known.find(|ipset| set.ipset(family, *ipset) == name)?;
        Some((set, ipset))
    }

    /// Parses the name of a chain into its set and the rest of the name. `None` if no agent made it.
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
    /// Writes the prefix of the names of its chains.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}{}-", self.instance, self.layout, self.id)
    }
}

/// The tag that represents the instance `id` in names: the first 30 bits of its SHA-256.
pub fn instance_tag(id: &str) -> String {
    let sum = Sha256::digest(id.as_bytes());
    letters(u32::from_be_bytes([sum[0], sum[1], sum[2], sum[3]]), TAG_CHARS)
}

/// Encodes the highest bits of `number`, five bits for each character.
fn letters(number: u32, chars: usize) -> String {
    (0..chars).map(|i| char::from(ALPHABET[(number >> (27 - 5 * i)) as usize & 31])).collect()
}

#[cfg(test)]
mod tests;
