//! `reports/MONTH/`: the report of a month, its page and its letters.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use super::disk::{Disk, Replacement, many_at_once, replace_unsynced};
use super::error::StoreError;
use super::layout::StateDir;
use super::lock::ReportLock;
use crate::guarded::open_to_read;
use crate::ledger::month::Month;
use crate::ledger::record::VERSION;
use crate::ledger::statement::MonthlyReport;

/// The file name of a report.
pub const REPORT: &str = "report.json";

/// Writes `report.json`.
///
/// # Errors
/// When it cannot be replaced. The former one may still be there.
pub fn write_report(lock: &ReportLock, report: &MonthlyReport) -> Result<(), StoreError> {
    let state = lock.state();
    let dir = state.reports(report.month);
    state.create_dir(&dir)?;
    let path = dir.join(REPORT);
    write_json(state.disk(), &path, report).map_err(StoreError::io("replace", &path))
}

fn write_json(disk: &dyn Disk, path: &Path, report: &MonthlyReport) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, Replacement::begin(disk, path)?);
    serde_json::to_writer(&mut file, report)?;
    file.write_all(b"\n")?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.commit()
}

/// The last report written for `month`; `None` if there is none.
///
/// # Errors
/// [`StoreError::Damaged`] if it cannot be understood any more, so that it is unknown what was published about the
/// month; [`StoreError::Io`].
pub fn read_report(state: &StateDir, month: Month) -> Result<Option<MonthlyReport>, StoreError> {
    let path = state.reports(month).join(REPORT);
    let file = match open_to_read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(StoreError::io("open", &path))?,
    };
    let damaged = |what, source| StoreError::Damaged { path: path.clone(), what, source };
    let report: MonthlyReport = serde_json::from_reader(BufReader::new(file))
        .map_err(|error| damaged("not a report that flow-agent wrote", Some(error)))?;
    if report.v == VERSION && report.month == month {
        Ok(Some(report))
    } else {
        Err(damaged("of another version or month", None))
    }
}

/// The months that have a report.
///
/// # Errors
/// When the directory cannot be read. It is not an error if there is none.
pub fn months(state: &StateDir) -> Result<BTreeSet<Month>, StoreError> {
    let dir = state.root().join("reports");
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => other.map_err(StoreError::io("read", &dir))?,
    };
    let mut months = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io("read", &dir))?;
        let month: Option<Month> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        months.extend(month.filter(|_| entry.path().join(REPORT).exists()));
    }
    Ok(months)
}

/// Writes files of a report, the page and letters, by their names. Each is replaced atomically, and all are durable when
/// this returns.
///
/// # Errors
/// When a file cannot be replaced. Others may have been.
pub fn write_files<'f>(
    lock: &ReportLock,
    month: Month,
    files: impl IntoIterator<Item = (&'f str, &'f [u8])>,
) -> Result<(), StoreError> {
    let state = lock.state();
    let dir = state.reports(month);
    state.create_dir(&dir)?;
    many_at_once(files, |(name, bytes)| {
        let path = dir.join(name);
        replace_unsynced(state.disk(), &path, bytes).map_err(StoreError::io("replace", &path))
    })?;
    state.disk().sync_dir(&dir).map_err(StoreError::io("sync", &dir))
}

/// Removes the letters that are not among `names`. They are left over when users move up or down the list.
///
/// # Errors
/// When the directory cannot be read, or a letter cannot be removed.
pub fn remove_other_letters(lock: &ReportLock, month: Month, names: &BTreeSet<String>) -> Result<(), StoreError> {
    let state = lock.state();
    let dir = state.reports(month);
    for entry in fs::read_dir(&dir).map_err(StoreError::io("read", &dir))? {
        let path = entry.map_err(StoreError::io("read", &dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".eml") && !name.starts_with('.') && !names.contains(name) {
            state.disk().remove(&path).map_err(StoreError::io("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
