//! What a start learns from the hourly log: the last sealed readings, and the state of the log's end.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde::Deserialize;

use super::scan::{Scan, scan};
use super::tail::{self, Tail};
use crate::ledger::block::HourBlock;
use crate::ledger::month::Month;
use crate::ledger::record::{Checkpoint, Kind};
use crate::store::damage::Damage;
use crate::store::error::StoreError;
use crate::store::layout::StateDir;
use crate::store::{checkpoint, hours, seal_lines};

/// How many of the newest files a start reads completely, so that it knows epochs that ended shortly before.
const FILES_READ: usize = 2;

/// The state from which a start continues.
#[derive(Debug)]
pub struct Recovery {
    /// The last sealed bucket of each epoch in the newest files. Counters with any other epoch are not ours.
    pub epochs: BTreeMap<String, HourBlock>,
    /// The epoch of the seal with the highest `seq`; `None` before the first seal.
    pub last_epoch: Option<String>,
    /// The number of the next bucket.
    pub next_seq: u64,
    /// The newest checkpoint, if it can be trusted.
    pub checkpoint: Option<Checkpoint>,
    /// What is ignored in the files that were read, including parts that were cut off.
    pub damages: Vec<Damage>,
    /// The copies that were made of unfinished tails before these were cut off.
    pub kept: Vec<PathBuf>,
    /// Set if the files show that this directory, or part of it, is older than what was counted.
    pub overlap: Option<DoubleCountRisk>,
}

impl Recovery {
    /// The bucket of the seal with the highest `seq`; `None` before the first seal.
    pub fn last(&self) -> Option<&HourBlock> {
        self.epochs.get(self.last_epoch.as_ref()?)
    }
}

/// Why bytes might be counted twice: an old state directory, or part of one, was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DoubleCountRisk {
    /// The checkpoint was written after a seal that the log does not have (any more).
    Behind { checkpoint: u64, log: u64 },
    /// Two different buckets have the same number, so two histories of this directory were mixed.
    Twice { seq: u64, one: PathBuf, other: PathBuf },
    /// The daily log has a day with buckets after all files of the hourly log.
    DailyAhead { day: NaiveDate },
}

impl fmt::Display for DoubleCountRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind { checkpoint, log } => write!(
                f,
                "the checkpoint was written after bucket {checkpoint}, but the hourly log ends with bucket {log}: an \
                 older log was restored, and what it lacks would be counted again"
            ),
            Self::DailyAhead { day } => write!(
                f,
                "the daily log has {day}, which was made from buckets that the hourly log does not have: an older log \
                 was restored, and what it lacks would be counted again"
            ),
            Self::Twice { seq, one, other } => write!(
                f,
                "two buckets with different figures have number {seq}, in `{}` and in `{}`: two histories of this \
                 directory were mixed",
                one.display(),
                other.display()
            ),
        }
    }
}

/// A part of a file, to be cut off or copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub path: PathBuf,
    pub bytes: Range<u64>,
}

/// The repairs that are necessary before anything is appended to the log.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    pub cuts: Vec<Cut>,
    /// Damage in the middle of a file, which is copied but stays in place.
    pub damaged: Vec<Cut>,
    /// The file with the last seal, and its length after it was cut.
    pub newest: Option<(PathBuf, u64)>,
}

/// Reads as much of the log as a start needs, without changing anything.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn recover(state: &StateDir) -> Result<(Recovery, Repairs), StoreError> {
    let claims = claims(state)?;
    let scans = newest_files(&claims)?;
    // If there are files that can be appended to, the newest seal is in one of them, because only older days are
    // compressed.
    let compressed = if scans.iter().any(|scan| scan.seq.is_some()) { Vec::new() } else { compressed_files(state)? };
    let read = || scans.iter().chain(&compressed);
    let mut damages: Vec<Damage> = read().flat_map(|scan| &scan.damages).map(|(_, what)| what.clone()).collect();
    let checkpoint = checkpoint::read(state).unwrap_or_else(|error| {
        let path = state.checkpoint();
        damages.push(Damage { path, line: 1, lines: 1, span: None, what: error.to_string() });
        None
    });
    let repairs = repairs(&scans);
    let log = read().filter_map(|scan| scan.seq).max().unwrap_or(0);
    // If the last bucket is cut because its seal is damaged, the checkpoint may have been written after that bucket.
    let lost = u64::from(repairs.cuts.iter().any(|cut| !cut.bytes.is_empty()));
    let behind = checkpoint.as_ref().map(|checkpoint| checkpoint.seq).filter(|seq| *seq > log + lost);
    let overlap = match behind {
        Some(checkpoint) => Some(DoubleCountRisk::Behind { checkpoint, log }),
        None => match twice(scans.iter()).or(twice(mixed(&claims)?.iter())) {
            None => daily_ahead(state)?,
            twice => twice,
        },
    };
    let next_seq = 1 + log.max(checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq));
    let (epochs, last_epoch) = merge(scans.into_iter().chain(compressed));
    Ok((Recovery { epochs, last_epoch, next_seq, checkpoint, damages, kept: Vec::new(), overlap }, repairs))
}

/// The necessary part of a day's seal.
#[derive(Deserialize)]
struct SealedDay {
    kind: Kind,
    day: NaiveDate,
    #[serde(default)]
    buckets_sealed: u32,
}

/// The first day in `daily/` that has buckets of its own and is later than every file of the hourly log. The newest files
/// are never deleted, so its hours were replaced by older ones.
fn daily_ahead(state: &StateDir) -> Result<Option<DoubleCountRisk>, StoreError> {
    let Some(newest) = hours::dates(state)?.pop() else { return Ok(None) };
    let months = hours::tabled_months(state)?.into_iter().filter(|month| *month >= Month::of(newest));
    let mut ahead: Option<NaiveDate> = None;
    for path in months.map(|month| state.daily(month)).chain([state.open_day()]) {
        seal_lines::read(&path, |seal: SealedDay| {
            if seal.kind == Kind::Seal && seal.buckets_sealed > 0 && seal.day > newest {
                ahead = Some(ahead.map_or(seal.day, |ahead| ahead.min(seal.day)));
            }
            true
        })?;
    }
    Ok(ahead.map(|day| DoubleCountRisk::DailyAhead { day }))
}

struct Claim {
    path: PathBuf,
    tail: Tail,
}

/// What the last line of each file claims, by date. Compressed files are skipped.
fn claims(state: &StateDir) -> Result<Vec<Claim>, StoreError> {
    let mut claims = Vec::new();
    for path in hours::dates(state)?.into_iter().map(|date| state.hourly(date)) {
        match tail::last(&path) {
            Ok(tail) => claims.push(Claim { path, tail }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoreError::io("read", &path)(source)),
        }
    }
    Ok(claims)
}

/// The newest compressed files, which are never cut or appended to.
fn compressed_files(state: &StateDir) -> Result<Vec<Scan>, StoreError> {
    let newest = hours::dates(state)?.into_iter().rev();
    let scans = newest.filter_map(|date| scan(&state.hourly_compressed(date)).transpose());
    scans.take(FILES_READ).collect()
}

/// Reads files with a doubtful end, then the newest ones, and more as long as an older one claims more than was
/// verified.
fn newest_files(claims: &[Claim]) -> Result<Vec<Scan>, StoreError> {
    let mut order: Vec<&Claim> =
        claims.iter().filter(|claim| !matches!(claim.tail, Tail::Empty | Tail::Imported)).collect();
    // Doubtful files come first, then those with the highest number, then those with the latest date.
    order.sort_by_key(|claim| std::cmp::Reverse((claim.tail, &claim.path)));
    let (mut scans, mut sealed): (Vec<Scan>, usize) = (Vec::new(), 0);
    for claim in order {
        if let Tail::Seal(claimed) = claim.tail {
            let verified = scans.iter().filter_map(|scan| scan.seq).max();
            if sealed >= FILES_READ && Some(claimed) <= verified {
                break;
            }
            sealed += 1;
        }
        scans.extend(scan(&claim.path)?);
    }
    Ok(scans)
}

/// In the file with the last seal everything after it is cut off, because those bytes are still in the counters. In
/// other files only lines that were never sealed are cut off. A damaged bucket that is followed by others is lost, and
/// stays where a reader sees the damage.
fn repairs(scans: &[Scan]) -> Repairs {
    let mut repairs = Repairs::default();
    let last = scans.iter().filter(|scan| scan.seq.is_some()).max_by_key(|scan| scan.seq);
    for scan in scans {
        let is_last = last.is_some_and(|last| last.path == scan.path);
        // The file is newer than the last seal and contains no complete bucket.
        let follows = scan.whole == 0 && last.is_none_or(|last| last.path < scan.path);
        let end = if is_last || follows { scan.whole } else { scan.unsealed.unwrap_or(scan.length) };
        if end < scan.length {
            repairs.cuts.push(Cut { path: scan.path.clone(), bytes: end..scan.length });
        }
        let stays = scan.damages.iter().filter(|(bytes, _)| bytes.start < end);
        repairs.damaged.extend(stays.map(|(bytes, _)| Cut { path: scan.path.clone(), bytes: bytes.clone() }));
        if is_last {
            repairs.newest = Some((scan.path.clone(), end));
        }
    }
    repairs
}

/// Reads files whose numbers overlap with those of another file. Files are in the order of their numbers unless the
/// clock was set back, and only then they have to be read.
fn mixed(claims: &[Claim]) -> Result<Vec<Scan>, StoreError> {
    let last = |claim: &Claim| if let Tail::Seal(seq) = claim.tail { Some(seq) } else { None };
    let numbered: Vec<(&Claim, u64)> = claims.iter().filter_map(|claim| Some((claim, last(claim)?))).collect();
    if numbered.is_sorted_by_key(|(_, last)| last) {
        return Ok(Vec::new());
    }
    let mut ranges = Vec::new();
    for (claim, last) in numbered {
        let first = tail::first_seq(&claim.path).map_err(StoreError::io("read", &claim.path))?;
        ranges.push((first.unwrap_or(last), last, &claim.path));
    }
    let among = |(first, last, path): &&(u64, u64, &PathBuf)| {
        ranges.iter().any(|(from, to, other)| *path != *other && first <= to && from <= last)
    };
    ranges.iter().filter(among).filter_map(|(_, _, path)| scan(path).transpose()).collect()
}

/// Finds a number that was given to two different buckets.
fn twice<'a>(scans: impl Iterator<Item = &'a Scan>) -> Option<DoubleCountRisk> {
    let mut known: BTreeMap<u64, (&str, &Path)> = BTreeMap::new();
    for scan in scans {
        for (seq, sha256) in &scan.sums {
            let (before, one) = known.entry(*seq).or_insert((sha256, &scan.path));
            if before != sha256 {
                return Some(DoubleCountRisk::Twice { seq: *seq, one: (*one).to_owned(), other: scan.path.clone() });
            }
        }
    }
    None
}

/// The last bucket of each epoch, and the epoch of the last bucket of all.
fn merge(scans: impl Iterator<Item = Scan>) -> (BTreeMap<String, HourBlock>, Option<String>) {
    let mut epochs: BTreeMap<String, HourBlock> = BTreeMap::new();
    for (epoch, block) in scans.flat_map(|scan| scan.epochs) {
        if epochs.get(&epoch).is_none_or(|before| before.seal.seq < block.seal.seq) {
            epochs.insert(epoch, block);
        }
    }
    let last = epochs.values().max_by_key(|block| block.seal.seq).map(|block| block.seal.epoch.clone());
    (epochs, last)
}
