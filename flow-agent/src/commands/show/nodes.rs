//! PURE: the days that a main node gathered, from one node or from several together.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::ledger::block::DayBlock;
use crate::ledger::counters::Counters;
use crate::ledger::record::DayLine;
use crate::ledger::statement::{Directory, StatementOwner};

/// The nodes whose gathered days are read.
#[derive(Clone, Debug)]
pub struct GatheredNodes {
    pub names: Vec<String>,
    /// Decides who owns a port on a node, as in the monthly report.
    pub directory: Directory,
}

impl GatheredNodes {
    /// The days of several nodes together. If one of them has no figures for a day on which others have some, its
    /// seconds count as not covered, so that the day does not seem to be fully measured.
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
mod tests;
