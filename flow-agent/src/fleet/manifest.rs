//! PURE: the manifests of a node as ClickHouse returns them, and which of them are valid.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, FixedOffset, NaiveDate};

use crate::ledger::block::Span;
use crate::ledger::record::{Gap, HourSeal, Kind, Quality, VERSION};

/// What identifies a bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketKey {
    pub node: String,
    pub epoch: String,
    pub seq: u64,
}

/// One version of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub key: BucketKey,
    pub rev: u64,
    pub start: DateTime<FixedOffset>,
    pub end: DateTime<FixedOffset>,
    pub day: NaiveDate,
    pub zone: String,
    pub bucket_seconds: u32,
    pub quality: Quality,
    pub rows: u64,
    pub gaps: u64,
    pub in_bytes: u64,
    pub out_bytes: u64,
    pub sha256: String,
}

/// The columns of a manifest, in the order in which [`Manifest::parse`] expects them.
pub(super) const COLUMNS: &str = "node, epoch, seq, toUnixTimestamp(start), toUnixTimestamp(`end`), utc_offset, day, zone, \
                                  bucket_seconds, quality, rows, gaps, in_bytes, out_bytes, sha256, rev";

impl Manifest {
    /// Reads the fields of one row; `None` if they are not those of a manifest.
    pub(super) fn parse(fields: &[String]) -> Option<Self> {
        let [
            node,
            epoch,
            seq,
            start,
            end,
            offset,
            day,
            zone,
            length,
            quality,
            rows,
            gaps,
            inward,
            outward,
            sha256,
            rev,
        ] = fields
        else {
            return None;
        };
        let offset = FixedOffset::east_opt(offset.parse().ok()?)?;
        let at = |text: &str| Some(DateTime::from_timestamp(text.parse().ok()?, 0)?.with_timezone(&offset));
        Some(Self {
            key: BucketKey { node: node.clone(), epoch: epoch.clone(), seq: seq.parse().ok()? },
            rev: rev.parse().ok()?,
            start: at(start)?,
            end: at(end)?,
            day: day.parse().ok()?,
            zone: zone.clone(),
            bucket_seconds: length.parse().ok()?,
            quality: serde_json::from_value(quality.as_str().into()).ok()?,
            rows: rows.parse().ok()?,
            gaps: gaps.parse().ok()?,
            in_bytes: inward.parse().ok()?,
            out_bytes: outward.parse().ok()?,
            sha256: sha256.clone(),
        })
    }

    pub fn span(&self) -> Span {
        (self.start, self.end)
    }

    /// Whether both are the same but for the name under which they were sent, the revision, and the configuration at that
    /// time.
    fn has_figures_of(&self, other: &Self) -> bool {
        let key = BucketKey { node: other.key.node.clone(), ..self.key.clone() };
        let (zone, bucket_seconds) = (other.zone.clone(), other.bucket_seconds);
        Self { key, rev: other.rev, zone, bucket_seconds, ..self.clone() } == *other
    }

    /// Whether this bucket is no longer in the node's log, because `other` has its time since the day was sent again:
    /// after the log was lost, one bucket is made of many. Buckets of one epoch overlap only if a clock was set back, and
    /// are then sent under the same revision.
    fn is_replaced_by(&self, other: &Self) -> bool {
        let is_of_same_day = (&self.key.epoch, self.day) == (&other.key.epoch, other.day);
        is_of_same_day && self.rev < other.rev && self.start < other.end && other.start < self.end
    }

    /// The seal from which this manifest was made, as far as days need it.
    pub(super) fn seal(&self, gaps: Vec<Gap>) -> HourSeal {
        HourSeal {
            v: VERSION,
            kind: Kind::Seal,
            seq: Some(self.key.seq),
            start: self.start,
            end: self.end,
            node: self.key.node.clone(),
            epoch: self.key.epoch.clone(),
            backend: None,
            count: None,
            pinned: None,
            quality: self.quality,
            gaps,
            interfaces: Vec::new(),
            ports: 0,
            other: crate::ledger::counters::Others::default(),
            blocked: Default::default(),
            blocked_total: Default::default(),
            other_total: None,
            devices: Vec::new(),
            device_total: None,
            boot_ms: None,
            sha256: self.sha256.clone(),
        }
    }
}

/// The valid manifests, and those in doubt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// For each bucket, the manifest with the highest revision.
    pub manifests: Vec<Manifest>,
    /// Manifests with different figures under the same revision: it is not known which are right.
    pub ties: Vec<Manifest>,
    /// Buckets that are no longer in the node's log. Those that took their place have their bytes.
    pub replaced: Vec<Manifest>,
}

/// Chooses the valid manifests from all versions of all buckets. They may have been sent under several names of one
/// node: a node that was renamed may send again what it had sent under its former name, and the epoch and `seq` of a
/// bucket stay the same. Of equal versions, the one whose rows are all there (`is_whole`) holds, then the newest, then
/// the one under the name `node`.
pub(super) fn choose(all: Vec<Manifest>, node: &str, is_whole: impl Fn(&Manifest) -> bool) -> Held {
    let mut by_bucket: BTreeMap<(String, u64), Vec<Manifest>> = BTreeMap::new();
    for manifest in all {
        by_bucket.entry((manifest.key.epoch.clone(), manifest.key.seq)).or_default().push(manifest);
    }
    let mut held = Held::default();
    for mut versions in by_bucket.into_values() {
        versions.sort_by(|one, other| (one.rev, &one.key).cmp(&(other.rev, &other.key)));
        let Some(newest) = versions.last().cloned() else { continue };
        if versions.iter().any(|version| version.rev == newest.rev && !version.has_figures_of(&newest)) {
            held.ties.push(newest);
            continue;
        }
        let equal = versions.into_iter().filter(|version| version.has_figures_of(&newest));
        held.manifests.extend(equal.max_by_key(|version| (is_whole(version), version.rev, version.key.node == node)));
    }
    held.manifests.sort_by(|one, other| (one.start, &one.key).cmp(&(other.start, &other.key)));
    let corrected: Vec<Manifest> = held.manifests.iter().filter(|bucket| bucket.rev > 1).cloned().collect();
    let (gone, left) = std::mem::take(&mut held.manifests)
        .into_iter()
        .partition(|bucket| corrected.iter().any(|other| bucket.is_replaced_by(other)));
    (held.replaced, held.manifests) = (gone, left);
    held
}

/// One lifetime of a set of counters, as far as its buckets show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochSpan {
    pub epoch: String,
    pub start: i64,
    pub end: i64,
    pub first_seq: u64,
    pub last_seq: u64,
    pub bucket_seconds: u32,
}

/// Two epochs that must come from two machines: they overlap for longer than two buckets, and their buckets have the
/// same numbers. A single machine numbers the buckets of all its epochs consecutively, and after a new installation it
/// does not count at the same time as before.
pub fn two_machines(epochs: &[EpochSpan]) -> Option<(&EpochSpan, &EpochSpan)> {
    let pairs = epochs.iter().enumerate().flat_map(|(at, one)| epochs[at + 1..].iter().map(move |other| (one, other)));
    let mut found = pairs.filter(|(one, other)| {
        let overlap = one.end.min(other.end) - one.start.max(other.start);
        let shared = one.first_seq.max(other.first_seq) <= one.last_seq.min(other.last_seq);
        shared && overlap > 2 * i64::from(one.bucket_seconds.max(other.bucket_seconds))
    });
    found.next()
}

/// The epochs of these manifests, under whatever name they were sent.
pub(super) fn epochs<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Vec<EpochSpan> {
    let mut epochs: BTreeMap<&str, EpochSpan> = BTreeMap::new();
    for manifest in manifests.into_iter().filter(|manifest| manifest.quality != Quality::Import) {
        let (start, end, seq) = (manifest.start.timestamp(), manifest.end.timestamp(), manifest.key.seq);
        let span = epochs.entry(&manifest.key.epoch).or_insert_with(|| EpochSpan {
            epoch: manifest.key.epoch.clone(),
            start,
            end,
            first_seq: seq,
            last_seq: seq,
            bucket_seconds: manifest.bucket_seconds,
        });
        (span.start, span.end) = (span.start.min(start), span.end.max(end));
        (span.first_seq, span.last_seq) = (span.first_seq.min(seq), span.last_seq.max(seq));
    }
    epochs.into_values().collect()
}

/// The number of missing `seq` between the lowest and the highest, and the first of them. Imported buckets have numbers of
/// another kind.
pub(super) fn missing_numbers<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Option<(u64, u64)> {
    let counted = manifests.into_iter().filter(|manifest| manifest.quality != Quality::Import);
    let numbers: BTreeSet<u64> = counted.map(|manifest| manifest.key.seq).collect();
    let (first, last) = (*numbers.first()?, *numbers.last()?);
    let missing = last - first + 1 - numbers.len() as u64;
    let mut gaps = numbers.iter().zip(numbers.iter().skip(1)).filter(|(one, next)| *one + 1 < **next);
    let (before, _) = gaps.next()?;
    Some((missing, before + 1))
}

#[cfg(test)]
mod tests;
