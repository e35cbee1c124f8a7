//! What the hourly log says at a start: the last readings that were sealed, and what is wrong with its end.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::scan::{Scan, scan};
use super::tail::{self, Tail};
use crate::ledger::block::HourBlock;
use crate::ledger::record::Checkpoint;
use crate::store::damage::Damage;
use crate::store::error::StoreError;
use crate::store::layout::StateDir;
use crate::store::{checkpoint, hours};

/// So many of the newest files are read whole at a start, so that an epoch that ended shortly before is known.
const FILES_READ: usize = 2;

/// What a start goes on from.
#[derive(Debug)]
pub struct Recovery {
    /// The last sealed bucket of each epoch, of those in the newest files. Counters of any other epoch are not ours.
    pub epochs: BTreeMap<String, HourBlock>,
    /// The epoch of the seal with the highest `seq`; `None` before the first.
    pub last_epoch: Option<String>,
    /// What the next bucket will be numbered.
    pub next_seq: u64,
    /// The newest checkpoint that can be trusted.
    pub checkpoint: Option<Checkpoint>,
    /// What does not count in the files that were read, those parts included that were cut.
    pub damages: Vec<Damage>,
    /// Where unfinished ends of files were copied to before they were cut.
    pub kept: Vec<PathBuf>,
    /// The files say that this directory, or a part of it, is older than what was counted.
    pub overlap: Option<DoubleCountRisk>,
}

impl Recovery {
    /// The bucket of the seal with the highest `seq`; `None` before the first.
    pub fn last(&self) -> Option<&HourBlock> {
        self.epochs.get(self.last_epoch.as_ref()?)
    }
}

/// Why it is feared that bytes would be counted twice: an old state directory, or a part of one, was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DoubleCountRisk {
    /// The checkpoint follows a seal that the log does not have (any more).
    Behind { checkpoint: u64, log: u64 },
    /// Two buckets of different figures have the same number: two histories of this directory were mixed.
    Twice { seq: u64, one: PathBuf, other: PathBuf },
}

impl fmt::Display for DoubleCountRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind { checkpoint, log } => write!(
                f,
                "the checkpoint was written after bucket {checkpoint}, but the hourly log ends with bucket {log}: \
                 an older log was put back, and what it lacks would be counted again"
            ),
            Self::Twice { seq, one, other } => write!(
                f,
                "two buckets with different figures are numbered {seq}, in `{}` and in `{}`: \
                 two histories of this directory were mixed",
                one.display(),
                other.display()
            ),
        }
    }
}

/// The end of a file that is to be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub path: PathBuf,
    pub bytes: Range<u64>,
}

/// What is to be done before the log is appended to.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    pub cuts: Vec<Cut>,
    /// Damage in the middle of a file, which stays there.
    pub damaged: Vec<Cut>,
    /// The file with the last seal, and its length after the cuts.
    pub newest: Option<(PathBuf, u64)>,
}

/// Reads as much of the log as a start needs. Changes nothing.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn recover(state: &StateDir) -> Result<(Recovery, Repairs), StoreError> {
    let claims = claims(state)?;
    let scans = newest_files(&claims)?;
    // While there are files that can be appended to, the newest seal is in one of them: only older days are compressed.
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
    // A last bucket whose seal rotted was once there, and the checkpoint may follow it.
    let lost = u64::from(repairs.cuts.iter().any(|cut| !cut.bytes.is_empty()));
    let behind = checkpoint.as_ref().map(|checkpoint| checkpoint.seq).filter(|seq| *seq > log + lost);
    let overlap = match behind {
        Some(checkpoint) => Some(DoubleCountRisk::Behind { checkpoint, log }),
        None => twice(scans.iter()).or(twice(mixed(&claims)?.iter())),
    };
    let next_seq = 1 + log.max(checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq));
    let (epochs, last_epoch) = merge(scans.into_iter().chain(compressed));
    Ok((Recovery { epochs, last_epoch, next_seq, checkpoint, damages, kept: Vec::new(), overlap }, repairs))
}

struct Claim {
    path: PathBuf,
    tail: Tail,
}

/// What the last line of each file claims, by date. Compressed files are not looked at.
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

/// The newest compressed files. They are never cut or appended to.
fn compressed_files(state: &StateDir) -> Result<Vec<Scan>, StoreError> {
    let newest = hours::dates(state)?.into_iter().rev();
    let scans = newest.filter_map(|date| scan(&state.hourly_compressed(date)).transpose());
    scans.take(FILES_READ).collect()
}

/// Reads the files whose end is doubtful, the newest ones, and more while an older one claims more than was verified.
fn newest_files(claims: &[Claim]) -> Result<Vec<Scan>, StoreError> {
    let mut order: Vec<&Claim> =
        claims.iter().filter(|claim| !matches!(claim.tail, Tail::Empty | Tail::Imported)).collect();
    // Doubtful ones first, then the highest number, then the latest date.
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

/// In the file of the last seal everything after it is cut: its bytes are still in the counters. Elsewhere only lines
/// that never were sealed are: a bucket that others followed is lost, and stays where a reader sees that it is.
fn repairs(scans: &[Scan]) -> Repairs {
    let mut repairs = Repairs::default();
    let last = scans.iter().filter(|scan| scan.seq.is_some()).max_by_key(|scan| scan.seq);
    for scan in scans {
        let is_last = last.is_some_and(|last| last.path == scan.path);
        // A first bucket of a new date that is not whole.
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

/// The files whose numbers lie among those of another. Files are in the order of their numbers unless the clock was set
/// back, and only then it needs to be looked at.
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

/// A number that buckets of different figures bear.
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

/// The last bucket of each epoch, and the epoch of the last of all.
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
