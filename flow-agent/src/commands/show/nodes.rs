//! PURE: the days that a main node gathered, of one node or of several together.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::ledger::block::DayBlock;
use crate::ledger::counters::Counters;
use crate::ledger::record::DayLine;
use crate::ledger::statement::{Directory, StatementOwner};

/// Whose gathered days are read.
#[derive(Clone, Debug)]
pub struct GatheredNodes {
    pub names: Vec<String>,
    /// Who owns a port on a node, as in the monthly report.
    pub directory: Directory,
}

impl GatheredNodes {
    /// The days of several nodes together. If one of them has no figures of a day on which others have some, its seconds
    /// are not covered, so that the day does not seem to be measured as a whole.
    pub fn together(&self, tables: Vec<(String, Vec<DayBlock>)>) -> BTreeMap<NaiveDate, DayBlock> {
        let nodes = u32::try_from(tables.iter().filter(|(_, blocks)| !blocks.is_empty()).count()).unwrap_or(u32::MAX);
        let mut days: BTreeMap<NaiveDate, (DayBlock, u32, Sums)> = BTreeMap::new();
        for (node, blocks) in tables {
            for block in blocks {
                let (day, seconds) = (block.seal.day, block.seal.seconds_in_day);
                let sums = match days.entry(day) {
                    std::collections::btree_map::Entry::Vacant(entry) => {
                        let seal = block.seal.clone();
                        &mut entry.insert((DayBlock { lines: Vec::new(), seal }, 1, Sums::new())).2
                    }
                    std::collections::btree_map::Entry::Occupied(entry) => {
                        let (whole, nodes, sums) = entry.into_mut();
                        *nodes += 1;
                        whole.seal.seconds_in_day = whole.seal.seconds_in_day.saturating_add(seconds);
                        whole.seal.seconds_covered =
                            whole.seal.seconds_covered.saturating_add(block.seal.seconds_covered);
                        for (quality, buckets) in &block.seal.quality {
                            *whole.seal.quality.entry(*quality).or_default() += buckets;
                        }
                        sums
                    }
                };
                for line in block.lines {
                    let user = match self.directory.owner(&node, line.port, line.user.as_deref()) {
                        StatementOwner::User(name) => Some(name),
                        StatementOwner::Port(_) => None,
                    };
                    let sum = sums.entry((line.port, user)).or_default();
                    *sum = sum.saturating_add(line.counters());
                }
            }
        }
        let whole = |(day, (mut block, found, sums)): (NaiveDate, (DayBlock, u32, Sums))| {
            let missing = nodes.saturating_sub(found);
            let a_node = block.seal.seconds_in_day / found.max(1);
            block.seal.seconds_in_day = block.seal.seconds_in_day.saturating_add(a_node.saturating_mul(missing));
            block.lines = sums.into_iter().map(|((port, user), sum)| DayLine::new(day, port, user, sum)).collect();
            (day, block)
        };
        days.into_iter().map(whole).collect()
    }
}

type Sums = BTreeMap<(u16, Option<String>), Counters>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::record::{DaySeal, Kind, VERSION};
    use crate::ledger::user::User;

    fn day(node: &str, day: &str, port: u16, user: Option<&str>, bytes: u64) -> DayBlock {
        let day: NaiveDate = day.parse().unwrap();
        let moved = Counters { tcp_in_bytes: bytes, ..Counters::default() };
        let seal = DaySeal {
            v: VERSION,
            kind: Kind::Seal,
            day,
            node: node.to_owned(),
            zone: "UTC".to_owned(),
            ports: 1,
            seconds_in_day: 86_400,
            seconds_covered: 86_400,
            buckets_expected: 24,
            buckets_sealed: 24,
            quality: BTreeMap::new(),
            gaps: Vec::new(),
            late: None,
            at: None,
            sha256: String::new(),
        };
        DayBlock { lines: vec![DayLine::new(day, port, user.map(str::to_owned), moved)], seal }
    }

    #[test]
    fn nodes_add_up_and_a_missing_one_is_not_zero() {
        let alice = User { name: "alice".to_owned(), ports: [443].into(), ..User::default() };
        let names = vec!["hk-1".to_owned(), "us-1".to_owned()];
        let nodes = GatheredNodes { names, directory: Directory::new(vec![alice]) };
        let days = nodes.together(vec![
            (
                "hk-1".to_owned(),
                vec![day("hk-1", "2026-10-05", 443, Some("alice"), 7), day("hk-1", "2026-10-06", 443, None, 1)],
            ),
            ("us-1".to_owned(), vec![day("us-1", "2026-10-05", 443, None, 5)]),
        ]);
        let [fifth, sixth] = ["2026-10-05", "2026-10-06"].map(|day| &days[&day.parse::<NaiveDate>().unwrap()]);
        // The port of 443 belongs to alice on both nodes.
        assert_eq!(fifth.lines.len(), 1);
        assert_eq!((fifth.lines[0].user.as_deref(), fifth.lines[0].tcp_in_bytes), (Some("alice"), 12));
        assert_eq!((fifth.seal.seconds_covered, fifth.seal.seconds_in_day), (172_800, 172_800));
        assert_eq!((sixth.seal.seconds_covered, sixth.seal.seconds_in_day), (86_400, 172_800));
    }
}
