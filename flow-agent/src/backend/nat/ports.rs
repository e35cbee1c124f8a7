//! PURE: sets of ports as rules write them: ranges, and their complements.

use std::fmt;

/// A set of ports, stored as sorted ranges that do not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSet(Vec<(u16, u16)>);

impl PortSet {
    pub fn every() -> Self {
        Self(vec![(0, u16::MAX)])
    }

    pub fn of(ranges: impl IntoIterator<Item = (u16, u16)>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        ranges.sort_unstable();
        let mut joined: Vec<(u16, u16)> = Vec::new();
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if u32::from(first) <= u32::from(before.1) + 1 => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    /// Every port that is not in this set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut others = Vec::new();
        let mut next = Some(0);
        for (first, last) in &self.0 {
            let Some(from) = next else { break };
            others.extend(first.checked_sub(1).filter(|until| from <= *until).map(|until| (from, until)));
            next = last.checked_add(1);
        }
        others.extend(next.map(|from| (from, u16::MAX)));
        Self(others)
    }

    /// The ports that are in both sets.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let both = |(first, last): (u16, u16)| {
            other.0.iter().map(move |(other_first, other_last)| (first.max(*other_first), last.min(*other_last)))
        };
        Self::of(self.0.iter().copied().flat_map(both))
    }

    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }

    pub fn is_every(&self) -> bool {
        *self == Self::every()
    }
}

impl fmt::Display for PortSet {
    /// Writes `port 443`, `ports 80,8000-8010` or `every port`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [(0, u16::MAX)] => return f.write_str("every port"),
            [(first, last)] if first == last => return write!(f, "port {first}"),
            _ => f.write_str("ports ")?,
        }
        for (index, (first, last)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
