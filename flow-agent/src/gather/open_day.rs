//! Joins the day that is not over yet, which a node keeps in a file of its own, with the file of its month.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use super::error::{FetchError, GatherError, Rejected};
use super::found::VerifiedDays;
use super::verify::{Expected, Verified, verify};
use super::{OPEN_DAY, file_name};
use crate::ledger::block::SealedDay;
use crate::ledger::month::Month;
use crate::ledger::statement::MonthDays;

/// The verified file of the open day, which was fetched before the files of the months.
#[derive(Clone, Debug)]
pub(super) struct OpenDay {
    path: PathBuf,
    days: BTreeMap<NaiveDate, SealedDay>,
}

impl OpenDay {
    /// Verifies the file at `path`, which was made under one of `names`.
    ///
    /// # Errors
    /// When it cannot be read, or is rejected.
    pub(super) fn open(path: PathBuf, names: &[String], add_up: MonthDays) -> Result<Self, GatherError> {
        let verified = verified(&path, OPEN_DAY, names, None, add_up)?;
        match verified.unsealed {
            None => Ok(Self { path, days: verified.days }),
            // It is only ever replaced as a whole.
            Some(source) => Err(rejected(OPEN_DAY, source)),
        }
    }

    pub(super) fn has_days_of(&self, month: Month) -> bool {
        self.of_month(month).next().is_some()
    }

    fn of_month(&self, month: Month) -> impl Iterator<Item = (&NaiveDate, &SealedDay)> {
        self.days.iter().filter(move |(day, _)| Month::of(**day) == month)
    }

    /// Whether `text`, the lines at the end of the file of the month, is the beginning of one of these days, which the
    /// node is appending to that file.
    fn is_begun_by(&self, month: Month, text: &[u8]) -> bool {
        self.of_month(month).any(|(day, _)| {
            let begin = format!("{{\"v\":1,\"kind\":\"day\",\"day\":\"{}\",", day.format("%Y-%m-%d"));
            let length = text.len().min(begin.len());
            text[..length] == begin.as_bytes()[..length]
        })
    }
}

/// Verifies the file of `month` at `path`, and adds the days of `open` that it does not have yet. If the node has no
/// such file, one is made of them. A day that is in both counts once, as the version that was made later.
///
/// Returns what the file has, and its sums over `add_up`; `None` if it has become another than the one that was verified.
///
/// # Errors
/// When the file cannot be read or written, or is rejected.
pub(super) fn complete(
    path: &Path,
    is_there: bool,
    names: &[String],
    month: Month,
    open: Option<&OpenDay>,
    add_up: MonthDays,
) -> Result<Option<VerifiedDays>, GatherError> {
    let mut month_file = Verified::nothing(add_up);
    if is_there {
        month_file = verified(path, &file_name(month), names, Some(month), add_up)?;
    }
    if let Some(source) = month_file.unsealed.take() {
        let text = read_at(path, month_file.end).map_err(failed("read", path))?;
        if !open.is_some_and(|open| open.is_begun_by(month, &text)) {
            return Err(rejected(&file_name(month), source));
        }
    }
    let Some(open) = open else { return Ok(Some(VerifiedDays::of(month_file))) };
    let is_newer = |day: &NaiveDate, opened: &SealedDay| match month_file.days.get(day) {
        Some(there) => there.seal.at < opened.seal.at,
        None => true,
    };
    let added: BTreeMap<_, _> = open.of_month(month).filter(|(day, opened)| is_newer(day, opened)).collect();
    let last = month_file.days.last_key_value().map(|(day, _)| *day);
    if added.keys().all(|day| last.is_none_or(|last| **day > last)) {
        append(path, month_file.end, &open.path, &added).map_err(failed("write", path))?;
        return Ok(added.is_empty().then(|| VerifiedDays::of(month_file)));
    }
    // The file has an older version of the day, because the node was upgraded on that day.
    let whole = path.with_extension("whole");
    let mut pieces: BTreeMap<NaiveDate, (&Path, &Range<u64>)> =
        month_file.days.iter().map(|(day, found)| (*day, (path, &found.bytes))).collect();
    pieces.extend(added.iter().map(|(day, found)| (**day, (open.path.as_path(), &found.bytes))));
    let join = || -> io::Result<()> {
        let mut file = File::create_new(&whole)?;
        pieces.values().try_for_each(|(from, bytes)| copy(from, bytes, &mut file))?;
        fs::rename(&whole, path)
    };
    join().map_err(failed("write", &whole))?;
    Ok(None)
}

/// Cuts the file at `end`, and appends `added` from the file `from`.
fn append(path: &Path, end: u64, from: &Path, added: &BTreeMap<&NaiveDate, &SealedDay>) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
    file.set_len(end)?;
    file.seek(SeekFrom::End(0))?;
    added.values().try_for_each(|day| copy(from, &day.bytes, &mut file))
}

fn copy(from: &Path, bytes: &Range<u64>, to: &mut File) -> io::Result<()> {
    let mut from = File::open(from)?;
    from.seek(SeekFrom::Start(bytes.start))?;
    let length = bytes.end - bytes.start;
    let copied = io::copy(&mut from.take(length), to)?;
    if copied == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// The first bytes from `at` on, enough to see the day of a line.
fn read_at(path: &Path, at: u64) -> io::Result<Vec<u8>> {
    let (mut file, mut text) = (File::open(path)?, Vec::new());
    file.seek(SeekFrom::Start(at))?;
    file.take(64).read_to_end(&mut text)?;
    Ok(text)
}

fn verified(
    path: &Path,
    name: &str,
    names: &[String],
    month: Option<Month>,
    add_up: MonthDays,
) -> Result<Verified, GatherError> {
    // The file is ours: it was just created in our private directory.
    let file = File::open(path).map_err(failed("open", path))?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    verify(file, Expected { names: &names, month, add_up }).map_err(|source| rejected(name, source))
}

fn rejected(name: &str, source: Rejected) -> GatherError {
    GatherError::Rejected { name: format!("daily/{name}"), source }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> GatherError {
    let path = path.to_owned();
    move |source| FetchError::Io { action, path, source }.into()
}

#[cfg(test)]
mod tests;
