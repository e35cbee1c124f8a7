//! Makes the days of a node from what ClickHouse holds: the same days that the node makes from its hourly log.
//!
//! ClickHouse adds up the rows, and the ledger decides from the manifests how much of each day was measured. A bucket
//! counts only if its manifest is there and its rows add up to the manifest's sums.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, FixedOffset, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use super::client::Client;
use super::error::FleetError;
use super::manifest::{self, BucketKey, COLUMNS, Held, Manifest};
use super::rows::{BUCKET, GAP, PORT_HOUR};
use super::sql::{quoted, quoted_list, tab_separated};
use crate::ledger::block::DayBlock;
use crate::ledger::calendar::{self, BucketLength};
use crate::ledger::counters::Counters;
use crate::ledger::record::Gap;
use crate::ledger::rollup::{DayRollup, DayRules};

/// How long after its day a bucket may end, because it was read late.
const REACH: TimeDelta = TimeDelta::days(31);

/// How many times a node is read if rows arrive while it is being read.
const ATTEMPTS: u32 = 5;

/// The days to read of a node: its name, its former names, and the range of days.
#[derive(Clone, Debug)]
pub struct NodeDays<'a> {
    pub node: &'a str,
    pub aliases: &'a [String],
    pub first: NaiveDate,
    pub last: NaiveDate,
}

/// What ClickHouse holds of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundDays {
    pub days: Vec<DayBlock>,
    /// What makes the days incomplete or doubtful, as sentences.
    pub problems: Vec<String>,
}

/// Reads the days of a node.
///
/// # Errors
/// When ClickHouse cannot be asked, or what it returns is not what was stored. [`FleetError::TwoMachines`] if what it
/// holds is the sum of two machines.
pub fn read(client: &Client, wanted: &NodeDays<'_>) -> Result<FoundDays, FleetError> {
    let reading = Reading { client, wanted };
    for _ in 0..ATTEMPTS {
        if let Some(found) = reading.read()? {
            return Ok(found);
        }
    }
    Err(answer(client, wanted, "the node is sending while its rows are read"))
}

/// The names of all nodes with a bucket on one of these days.
///
/// # Errors
/// When ClickHouse cannot be asked.
pub fn nodes(client: &Client, first: NaiveDate, last: NaiveDate) -> Result<Vec<String>, FleetError> {
    let sql = format!(
        "SELECT DISTINCT node FROM {}.{BUCKET} WHERE day >= '{first}' AND day <= '{last}' ORDER BY node FORMAT TabSeparated",
        client.database()
    );
    let answer = client.query("list the nodes", &sql)?;
    Ok(tab_separated(&answer).filter_map(|fields| fields.into_iter().next()).collect())
}

fn answer(client: &Client, wanted: &NodeDays<'_>, found: &str) -> FleetError {
    let action = format!("read the days of node {}", wanted.node);
    FleetError::Answer { action, url: client.url().to_owned(), found: found.to_owned() }
}

struct Reading<'a> {
    client: &'a Client,
    wanted: &'a NodeDays<'a>,
}

/// The rows of one bucket: how many, and their sums.
type Totals = (u64, u128, u128);

/// The sums of one day: the eight numbers for each port and user, and the totals of all rows.
#[derive(Default)]
struct DaySums {
    lines: Vec<(u16, Option<String>, Counters)>,
    totals: Totals,
}

impl Reading<'_> {
    /// Returns `None` if rows arrived while the node was being read.
    fn read(&self) -> Result<Option<FoundDays>, FleetError> {
        let Some(newest) = self.newest()? else { return Ok(Some(FoundDays::default())) };
        let all = self.manifests()?;
        let gaps = self.gaps(&all)?;
        let stored = self.totals()?;
        let is_wanted = |day: NaiveDate| (self.wanted.first..=self.wanted.last).contains(&day);
        // The rows of earlier days are not read, because only the times of their buckets matter.
        let is_whole = |bucket: &Manifest| {
            let key = (bucket.key.clone(), bucket.rev);
            let totals = stored.get(&key).copied().unwrap_or_default();
            let expected = (bucket.rows, u128::from(bucket.in_bytes), u128::from(bucket.out_bytes));
            let gaps = gaps.get(&key).map_or(0, |gaps| gaps.len() as u64);
            (!is_wanted(bucket.day) || totals == expected) && gaps == bucket.gaps
        };
        let Held { mut manifests, ties, replaced } = manifest::choose(all, self.wanted.node, is_whole);
        let epochs = manifest::epochs(manifests.iter().filter(|bucket| is_wanted(bucket.day)));
        if let Some((one, other)) = manifest::two_machines(&epochs) {
            let (one, other) = (one.epoch.clone(), other.epoch.clone());
            return Err(FleetError::TwoMachines { one, other });
        }
        let mut problems = self.alarms(manifests.iter().chain(&replaced), &ties);
        let mut rejected: Vec<(Manifest, &str)> =
            ties.into_iter().map(|tie| (tie, "different figures arrived under one revision")).collect();
        let partial: Vec<Manifest>;
        (manifests, partial) = manifests.into_iter().partition(is_whole);
        if let Some(first) = partial.first() {
            problems.push(format!(
                "{} with missing rows, the first at {}",
                crate::ledger::units::count(partial.len(), "bucket"),
                first.start
            ));
        }
        rejected.extend(partial.into_iter().map(|bucket| (bucket, "some of its rows are missing")));
        let counted: BTreeSet<(BucketKey, u64)> =
            manifests.iter().map(|bucket| (bucket.key.clone(), bucket.rev)).collect();
        let excluded = stored.keys().filter(|key| !counted.contains(*key));
        let mut sums = self.sums(excluded)?;
        if !sums_are_those_of(&sums, manifests.iter().filter(|bucket| is_wanted(bucket.day))) {
            return Ok(None);
        }
        let mut days = Vec::new();
        for day in self.wanted.first.iter_days().take_while(|day| *day <= self.wanted.last) {
            let lines = sums.remove(&day).unwrap_or_default().lines;
            days.extend(self.day(day, &manifests, &rejected, &gaps, lines, newest));
        }
        Ok(Some(FoundDays { days, problems }))
    }

    /// The block of a day; `None` if no bucket has a part of it.
    fn day(
        &self,
        day: NaiveDate,
        manifests: &[Manifest],
        rejected: &[(Manifest, &str)],
        gaps: &BTreeMap<(BucketKey, u64), Vec<Gap>>,
        lines: Vec<(u16, Option<String>, Counters)>,
        newest: DateTime<FixedOffset>,
    ) -> Option<DayBlock> {
        let own = |bucket: &&Manifest| bucket.day == day;
        // The settings of a node may change, so the day begins and ends as it did when its last bucket was sent.
        let sample = manifests.iter().rev().find(own).or_else(|| manifests.iter().rev().find(|one| one.day < day));
        let sample = sample.or_else(|| rejected.iter().map(|(bucket, _)| bucket).find(own))?;
        let zone: Tz = sample.zone.parse().ok()?;
        let length = std::time::Duration::from_secs(u64::from(sample.bucket_seconds));
        let bucket = BucketLength::try_from(length).unwrap_or(BucketLength::HOUR);
        let (start, end) = (calendar::day_start(zone, day), calendar::day_end(zone, day));
        let concerns = |one: &Manifest| one.day == day || one.start.to_utc() < end && one.end.to_utc() > start;
        let mut rollup = DayRollup::new(DayRules { node: self.wanted.node.to_owned(), zone, bucket }, day);
        let (mut last_end, mut last_rev, mut is_there) = (None, 0, false);
        for one in manifests.iter().filter(|one| concerns(one)) {
            let gaps = gaps.get(&(one.key.clone(), one.rev)).cloned().unwrap_or_default();
            let bytes = one.in_bytes.saturating_add(one.out_bytes);
            // The manifests contain each bucket once, with its highest revision.
            rollup.take_summary(&one.seal(gaps), bytes);
            last_end = last_end.max(Some(one.end.to_utc()));
            last_rev = last_rev.max(one.rev);
            is_there = true;
        }
        for (one, why) in rejected.iter().filter(|(one, _)| concerns(one)) {
            rollup.reject(one.span(), why);
            is_there = true;
        }
        if !is_there {
            return None;
        }
        for (port, user, counters) in lines {
            rollup.add_sum(port, user, counters);
        }
        // The time of the day depends not on the present but on what has arrived; a correction is dated by its
        // revision.
        let is_over = newest.to_utc() >= end;
        let known_at = if is_over { end } else { last_end.unwrap_or(start).min(end) };
        let corrected_at = i64::try_from(last_rev).ok().and_then(|secs| DateTime::<Utc>::from_timestamp(secs, 0));
        Some(rollup.finish(corrected_at.map_or(known_at, |corrected| known_at.max(corrected))))
    }

    fn alarms<'m>(&self, manifests: impl Iterator<Item = &'m Manifest>, ties: &[Manifest]) -> Vec<String> {
        let mut alarms = Vec::new();
        if let Some(tie) = ties.first() {
            alarms.push(format!(
                "{} under one revision with different figures, the first at {}; none of them counts",
                crate::ledger::units::count(ties.len(), "bucket"),
                tie.start
            ));
        }
        if let Some((missing, first)) = manifest::missing_numbers(manifests) {
            tracing::warn!(node = self.wanted.node, missing, first, "buckets never arrived");
        }
        alarms
    }

    fn newest(&self) -> Result<Option<DateTime<FixedOffset>>, FleetError> {
        let sql =
            format!("SELECT toUnixTimestamp(max(`end`)), count() FROM {} WHERE {}", self.table(BUCKET), self.of_node());
        let rows = self.rows(&sql)?;
        let first = rows.first().ok_or_else(|| self.not_ours("no row"))?;
        match (first.first().and_then(|at| at.parse().ok()), first.get(1).map(String::as_str)) {
            (_, Some("0")) => Ok(None),
            (Some(at), Some(_)) => Ok(DateTime::from_timestamp(at, 0).map(|at| at.fixed_offset())),
            _ => Err(self.not_ours("no instant")),
        }
    }

    fn manifests(&self) -> Result<Vec<Manifest>, FleetError> {
        let from = self.wanted.first.checked_sub_signed(REACH).unwrap_or(self.wanted.first);
        let sql = format!(
            "SELECT DISTINCT {COLUMNS} FROM {} WHERE {} AND day >= '{from}' AND day <= '{}'",
            self.table(BUCKET),
            self.of_node(),
            self.wanted.last
        );
        self.rows(&sql)?.iter().map(|row| Manifest::parse(row).ok_or_else(|| self.not_ours("no manifest"))).collect()
    }

    fn gaps(&self, manifests: &[Manifest]) -> Result<BTreeMap<(BucketKey, u64), Vec<Gap>>, FleetError> {
        let mut gaps: BTreeMap<_, Vec<Gap>> = BTreeMap::new();
        if manifests.iter().all(|bucket| bucket.gaps == 0) {
            return Ok(gaps);
        }
        let from = self.wanted.first.checked_sub_signed(REACH).unwrap_or(self.wanted.first);
        let sql = format!(
            "SELECT DISTINCT node, epoch, seq, rev, toUnixTimestamp(start), toUnixTimestamp(`end`), interface, why FROM {} \
             WHERE {} AND day >= '{from}' AND day <= '{}'",
            self.table(GAP),
            self.of_node(),
            self.wanted.last
        );
        for row in self.rows(&sql)? {
            let gap = || {
                let [node, epoch, seq, rev, start, end, interface, why] = &row[..] else { return None };
                let at = |text: &str| Some(DateTime::from_timestamp(text.parse().ok()?, 0)?.fixed_offset());
                let key = BucketKey { node: node.clone(), epoch: epoch.clone(), seq: seq.parse().ok()? };
                let gap = Gap { start: at(start)?, end: at(end)?, interface: interface.clone(), why: why.clone() };
                Some(((key, rev.parse::<u64>().ok()?), gap))
            };
            let (key, gap) = gap().ok_or_else(|| self.not_ours("no gap"))?;
            gaps.entry(key).or_default().push(gap);
        }
        Ok(gaps)
    }

    /// The totals of the stored rows, by bucket and revision.
    fn totals(&self) -> Result<BTreeMap<(BucketKey, u64), Totals>, FleetError> {
        let sql = format!(
            "SELECT node, epoch, seq, rev, count(), sum(toDecimal128(in_bytes, 0)), sum(toDecimal128(out_bytes, 0)) \
             FROM {} FINAL WHERE {} GROUP BY node, epoch, seq, rev",
            self.table(PORT_HOUR),
            self.on_days()
        );
        let parse = |row: &Vec<String>| {
            let [node, epoch, seq, rev, rows, inward, outward] = &row[..] else { return None };
            let key = BucketKey { node: node.clone(), epoch: epoch.clone(), seq: seq.parse().ok()? };
            let totals = (rows.parse().ok()?, inward.parse().ok()?, outward.parse().ok()?);
            Some(((key, rev.parse().ok()?), totals))
        };
        self.rows(&sql)?.iter().map(|row| parse(row).ok_or_else(|| self.not_ours("no sums"))).collect()
    }

    /// The sums of each day, port and user, without the rows of `excluded` buckets.
    fn sums<'b>(
        &self,
        excluded: impl Iterator<Item = &'b (BucketKey, u64)>,
    ) -> Result<BTreeMap<NaiveDate, DaySums>, FleetError> {
        let excluded: Vec<String> = excluded
            .map(|(key, rev)| format!("({}, {}, {}, {rev})", quoted(&key.node), quoted(&key.epoch), key.seq))
            .collect();
        let excluded = match excluded.is_empty() {
            true => String::new(),
            false => format!(" AND (node, epoch, seq, rev) NOT IN ({})", excluded.join(", ")),
        };
        let column = |proto: &str, name: &str| format!("sumIf(toDecimal128({name}, 0), proto = '{proto}')");
        let columns: Vec<String> = ["tcp", "udp"]
            .into_iter()
            .flat_map(|proto| ["in_bytes", "in_packets", "out_bytes", "out_packets"].map(|name| column(proto, name)))
            .collect();
        let sql = format!(
            "SELECT day, port, user, count(), {} FROM {} FINAL WHERE {}{excluded} GROUP BY day, port, user \
             ORDER BY day, port, user",
            columns.join(", "),
            self.table(PORT_HOUR),
            self.on_days(),
        );
        let mut days: BTreeMap<NaiveDate, DaySums> = BTreeMap::new();
        for row in self.rows(&sql)? {
            let line = || {
                let (head, numbers) = row.split_at_checked(4)?;
                let [day, port, user, rows] = head else { return None };
                let mut eight = [0_u64; 8];
                if numbers.len() != eight.len() {
                    return None;
                }
                for (number, text) in eight.iter_mut().zip(numbers) {
                    *number = text.parse().ok()?;
                }
                let user = Some(user.clone()).filter(|user| !user.is_empty());
                let line = (port.parse().ok()?, user, Counters::from_array(eight));
                Some((day.parse().ok()?, rows.parse::<u64>().ok()?, line))
            };
            let (day, rows, line) = line().ok_or_else(|| self.not_ours("sums that no port can have"))?;
            let day: &mut DaySums = days.entry(day).or_default();
            day.totals.0 += rows;
            day.totals.1 += u128::from(line.2.tcp_in_bytes) + u128::from(line.2.udp_in_bytes);
            day.totals.2 += u128::from(line.2.tcp_out_bytes) + u128::from(line.2.udp_out_bytes);
            day.lines.push(line);
        }
        Ok(days)
    }

    fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, FleetError> {
        let action = format!("read the days of node {}", self.wanted.node);
        let answer = self.client.query(&action, &format!("{sql} FORMAT TabSeparated"))?;
        Ok(tab_separated(&answer).collect())
    }

    fn table(&self, name: &str) -> String {
        format!("{}.{name}", self.client.database())
    }

    fn of_node(&self) -> String {
        let names = std::iter::once(self.wanted.node).chain(self.wanted.aliases.iter().map(String::as_str));
        format!("node IN ({})", quoted_list(names))
    }

    fn on_days(&self) -> String {
        format!("{} AND day >= '{}' AND day <= '{}'", self.of_node(), self.wanted.first, self.wanted.last)
    }

    fn not_ours(&self, found: &str) -> FleetError {
        answer(self.client, self.wanted, found)
    }
}

/// Whether the rows of each day add up to exactly what its manifests say.
fn sums_are_those_of<'a>(sums: &BTreeMap<NaiveDate, DaySums>, manifests: impl Iterator<Item = &'a Manifest>) -> bool {
    let mut expected: BTreeMap<NaiveDate, Totals> = BTreeMap::new();
    for bucket in manifests {
        let totals = expected.entry(bucket.day).or_default();
        totals.0 += bucket.rows;
        totals.1 += u128::from(bucket.in_bytes);
        totals.2 += u128::from(bucket.out_bytes);
    }
    expected.retain(|_, totals| totals.0 > 0);
    let found: BTreeMap<NaiveDate, Totals> = sums.iter().map(|(day, sums)| (*day, sums.totals)).collect();
    found == expected
}
