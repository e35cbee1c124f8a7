//! Keeps the days of gathered files in `nodes/NAME/daily/`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::replace::{DayOutcome, KeepReason, has_content_of};
use super::{Piece, Source, Table};
use crate::guarded::FileIdentity;
use crate::ledger::block::{Daily, DayBlock, SealedDay};
use crate::ledger::month::Month;
use crate::ledger::record::{DaySeal, VERSION};
use crate::store::blocks::{Blocks, Item};
use crate::store::damage::Damage;
use crate::store::disk::{self, Disk, parent};
use crate::store::document;
use crate::store::error::StoreError;
use crate::store::layout::StateDir;
use crate::store::lock::ReportLock;
use crate::store::seals::{self, FoundSeal};

/// A daily file that was fetched from a node into a directory of ours.
#[derive(Clone, Copy, Debug)]
pub struct Fetched<'f> {
    /// The name of the node.
    pub node: &'f str,
    pub month: Month,
    pub path: &'f Path,
    /// What is in it, if it was verified and is not needed any more. Otherwise it is read, and left where it is.
    pub verified: Option<VerifiedFile<'f>>,
}

/// What is in a verified file.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedFile<'f> {
    pub days: &'f [SealedDay],
    /// The CRC-32C of the file.
    pub crc32c: u32,
    /// The file that it is a copy of, if that one is on this machine.
    pub origin: Option<FileIdentity>,
}

/// `nodes/NAME/daily/MONTH.verified.json`: what the file of the month was when it was put there. It may be removed, and is
/// not synced: if it is not there, or does not fit, the file is read as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRecord {
    v: u32,
    /// The kept file.
    pub kept: FileIdentity,
    /// The CRC-32C of its content.
    pub crc32c: u32,
    /// The file that it is a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<FileIdentity>,
}

impl KeptRecord {
    /// That of the file that is kept of a node. `None` if there is none, or if the file is not what it was.
    pub fn read(state: &StateDir, node: &str, month: Month) -> Option<Self> {
        let record: Self = document::read(&path_of_record(state, node, month)).ok().flatten()?;
        (FileIdentity::at(&state.node_daily(node, month)) == Some(record.kept)).then_some(record)
    }
}

fn path_of_record(state: &StateDir, node: &str, month: Month) -> PathBuf {
    state.node_daily_dir(node).join(format!("{month}.verified.json"))
}

/// What became of a fetched file.
#[derive(Debug)]
pub struct Kept {
    pub outcomes: BTreeMap<NaiveDate, DayOutcome>,
    /// The damage in the file that was there before, which is copied to separate files if the file is replaced.
    pub damages: Vec<Damage>,
    /// Whether the file that is kept now has the same days as the one that was fetched, each in the same version.
    pub is_as_fetched: bool,
}

/// Keeps the days of one fetched file, like [`keep_gathered`].
///
/// # Errors
/// When a file cannot be read or replaced.
pub fn put_gathered(
    lock: &ReportLock,
    node: &str,
    month: Month,
    fetched: &Path,
) -> Result<(BTreeMap<NaiveDate, DayOutcome>, Vec<Damage>), StoreError> {
    let mut kept = keep_gathered(lock, &[Fetched { node, month, path: fetched, verified: None }])?;
    let Kept { outcomes, damages, .. } = kept.pop().expect("there is a result for each file");
    Ok((outcomes, damages))
}

/// Puts the days of fetched files into `nodes/NAME/daily/`. A day replaces an existing one if it was made later. If the
/// seals do not say so, the seconds that each covers decide. Damaged parts of a fetched file are skipped: the caller has
/// verified it and reported them.
///
/// If the kept file would have the days of a verified one and no others, nothing is copied: the verified file becomes the
/// kept one.
/// Each file is on disk before it has its name, and all names are when this returns.
///
/// # Errors
/// When a file cannot be read or replaced. Other files may have been replaced already.
pub fn keep_gathered(lock: &ReportLock, fetched: &[Fetched<'_>]) -> Result<Vec<Kept>, StoreError> {
    let state = lock.state();
    let dirs: BTreeSet<PathBuf> = fetched.iter().map(|file| state.node_daily_dir(file.node)).collect();
    disk::create_all_dirs(state.disk(), &dirs)
        .map_err(StoreError::io("create directories in", &state.root().join("nodes")))?;
    let mut merged = Vec::new();
    for file in fetched {
        merged.push(Merged::of(lock, file)?);
    }
    // What is to be renamed must be durable first.
    let adopted = merged.iter().filter_map(|merged| merged.adopted.as_deref());
    disk::many_at_once(adopted, |path| {
        let sync = || state.disk().adopt(path)?.sync();
        sync().map_err(StoreError::io("sync", path))
    })?;
    let mut changed = BTreeSet::new();
    let mut all = Vec::new();
    for merged in merged {
        if merged.adopted.is_some() {
            changed.insert(parent(&merged.table.path).to_owned());
        }
        all.push(merged.commit(state.disk())?);
    }
    disk::sync_dirs(state.disk(), &changed)
        .map_err(StoreError::io("sync directories in", &state.root().join("nodes")))?;
    for (file, kept) in fetched.iter().zip(&all) {
        if let Some(verified) = file.verified.filter(|_| kept.is_as_fetched) {
            record(state, file, verified);
        }
    }
    Ok(all)
}

/// Notes what the kept file is, unless that is known. Without it, only the next run takes longer.
fn record(state: &StateDir, file: &Fetched<'_>, verified: VerifiedFile<'_>) {
    let Some(kept) = FileIdentity::at(&state.node_daily(file.node, file.month)) else { return };
    let record = KeptRecord { v: VERSION, kept, crc32c: verified.crc32c, origin: verified.origin };
    if KeptRecord::read(state, file.node, file.month).as_ref() == Some(&record) {
        return;
    }
    let path = path_of_record(state, file.node, file.month);
    if let Err(error) = disk::replace_without_sync(state.disk(), &path, document::line(&record).as_bytes()) {
        tracing::debug!(path = %path.display(), %error, "failed to note what was verified");
    }
}

/// A kept file, into which the days of a fetched one were put, before anything is written.
struct Merged {
    table: Table<Daily>,
    outcomes: BTreeMap<NaiveDate, DayOutcome>,
    is_as_fetched: bool,
    /// The fetched file, if it is to become the kept one.
    adopted: Option<PathBuf>,
}

impl Merged {
    fn of(lock: &ReportLock, fetched: &Fetched<'_>) -> Result<Self, StoreError> {
        let path = lock.state().node_daily(fetched.node, fetched.month);
        // What was verified when it was put there, and has not changed since, is not read.
        let mut table = match KeptRecord::read(lock.state(), fetched.node, fetched.month) {
            Some(_) => Table::<Daily>::open_by_seals(path)?,
            None => Table::<Daily>::open(path)?,
        };
        let mut outcomes = BTreeMap::new();
        let mut is_as_fetched = true;
        let mut take = |day: &SealedDay| -> Result<(), StoreError> {
            let date = day.seal.day;
            if Month::of(date) != fetched.month {
                return Ok(());
            }
            let outcome = match outcome_of(table.seal(date), &day.seal) {
                written @ (DayOutcome::Written | DayOutcome::Corrected { .. }) => {
                    decrease(&table, fetched.path, day)?.unwrap_or(written)
                }
                other => other,
            };
            match outcome {
                DayOutcome::Written | DayOutcome::Corrected { .. } | DayOutcome::Decreased { .. } => {
                    table.put_from(fetched.path, day.seal.clone(), day.bytes.clone());
                }
                DayOutcome::Unchanged | DayOutcome::Kept(_) => is_as_fetched &= table.seal(date) == Some(&day.seal),
            }
            outcomes.insert(date, outcome);
            Ok(())
        };
        match fetched.verified {
            Some(verified) => verified.days.iter().try_for_each(take)?,
            None => {
                for item in Blocks::<Daily>::open(fetched.path)?.into_iter().flatten() {
                    if let Item::Block(found) = item? {
                        take(&SealedDay { seal: found.block.seal, bytes: found.bytes })?;
                    }
                }
            }
        }
        is_as_fetched &= table.pieces.len() == outcomes.len() && (table.changed || table.damaged.is_empty());
        let mut adopted = None;
        if let Some(verified) = fetched.verified.filter(|_| is_as_fetched && table.changed) {
            adopted = is_nothing_else(verified.days, fetched.path)?.then(|| fetched.path.to_owned());
        }
        Ok(Self { table, outcomes, is_as_fetched, adopted })
    }

    fn commit(self, disk: &dyn Disk) -> Result<Kept, StoreError> {
        let Self { table, outcomes, is_as_fetched, adopted } = self;
        let damages = match adopted {
            None => table.commit(disk)?,
            Some(fetched) => {
                table.keep_damaged(disk)?;
                match disk.rename(&fetched, &table.path) {
                    // The directory of the node is on another file system.
                    Err(error) if error.kind() == io::ErrorKind::CrossesDevices => table.commit(disk)?,
                    other => {
                        other.map_err(StoreError::io("replace", &table.path))?;
                        table.into_damages()
                    }
                }
            }
        };
        Ok(Kept { outcomes, damages, is_as_fetched })
    }
}

/// Whether the file consists of nothing but these days.
fn is_nothing_else(days: &[SealedDay], path: &Path) -> Result<bool, StoreError> {
    let mut end = 0;
    let follow_each_other = days.iter().all(|day| std::mem::replace(&mut end, day.bytes.end) == day.bytes.start);
    Ok(follow_each_other && path.metadata().map_err(StoreError::io("examine", path))?.len() == end)
}

/// The outcome if `now`, in the file `fetched`, has fewer bytes than the version of the day that is kept. Days that are
/// replaced by other figures are rare, so they are read again for that.
fn decrease(table: &Table<Daily>, fetched: &Path, now: &SealedDay) -> Result<Option<DayOutcome>, StoreError> {
    let Some(Piece { seal, source: Source::Old(kept) }) = table.pieces.get(&now.seal.day) else { return Ok(None) };
    if has_content_of(seal, &now.seal) {
        return Ok(None);
    }
    let block = |path: &Path, seal: &DaySeal, bytes: &Range<u64>| {
        seals::block(path, &FoundSeal::<Daily> { seal: seal.clone(), bytes: bytes.clone(), seal_bytes: 0 })
    };
    let (Some(before), Some(now)) = (block(&table.path, seal, kept)?, block(fetched, &now.seal, &now.bytes)?) else {
        return Ok(None);
    };
    let sum = |day: &DayBlock| day.lines.iter().fold(0_u64, |sum, line| sum.saturating_add(line.counters().bytes()));
    let (bytes_before, bytes) = (sum(&before), sum(&now));
    let (seconds_before, seconds) = (before.seal.seconds_covered, now.seal.seconds_covered);
    let decreased = DayOutcome::Decreased { bytes_before, bytes, seconds_before, seconds };
    Ok((bytes < bytes_before).then_some(decreased))
}

/// The outcome for a gathered day `now`, given the existing day `before`.
fn outcome_of(before: Option<&DaySeal>, now: &DaySeal) -> DayOutcome {
    let Some(before) = before else { return DayOutcome::Written };
    if has_content_of(before, now) {
        return if now.at > before.at { DayOutcome::Written } else { DayOutcome::Unchanged };
    }
    let covers_more = now.seconds_covered > before.seconds_covered;
    let covers_less = now.seconds_covered < before.seconds_covered;
    let (seconds_before, seconds_now) = (before.seconds_covered, now.seconds_covered);
    let kept = DayOutcome::Kept(KeepReason::CoversMore { before: seconds_before, now: seconds_now });
    match (before.at, now.at) {
        (Some(before), Some(now)) if now <= before => DayOutcome::Kept(KeepReason::MadeLater { before }),
        // Only newer versions record when a day was sealed, so the dated seal is the later one.
        (Some(_) | None, Some(_)) if covers_less => DayOutcome::Corrected { before: seconds_before, now: seconds_now },
        (Some(_) | None, Some(_)) => DayOutcome::Written,
        // This is an old copy, or the node was downgraded. Only a day that covers more is certainly the later one.
        (Some(_), None) if covers_more => DayOutcome::Written,
        (Some(_), None) if covers_less => kept,
        (Some(before), None) => DayOutcome::Kept(KeepReason::MadeLater { before }),
        (None, None) if covers_less => kept,
        (None, None) => DayOutcome::Written,
    }
}
