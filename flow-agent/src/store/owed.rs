//! Which days have to be rolled up: those whose hourly log may hold more than their seal in `daily/` says.
//!
//! Only the seals and the files' times are looked at, so that years of logs cost a fraction of a second.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::error::StoreError;
use super::hours;
use super::layout::StateDir;
use crate::guarded::open_to_read;
use crate::ledger::block::MAX_LINE_BYTES;
use crate::ledger::calendar;
use crate::ledger::month::Month;
use crate::ledger::record::Kind;

/// What is needed of a day's seal. Whether the block behind it is whole is for those who read its figures.
#[derive(Clone, Copy, Debug, Deserialize)]
struct SealedDay {
    kind: Kind,
    day: NaiveDate,
    /// When the day was rolled up; absent in seals of earlier versions.
    #[serde(default)]
    at: Option<DateTime<Utc>>,
}

/// The days that must be rolled up again: their hourly log was written to after their seal was made, they were sealed
/// before they were over, or they have no seal. The day after such a day comes with it, because the last bucket of a day
/// may reach into the next.
///
/// # Errors
/// When a directory or a file cannot be read.
pub fn days(state: &StateDir, zone: Tz) -> Result<BTreeSet<NaiveDate>, StoreError> {
    let dates = hours::dates(state)?;
    let mut months: BTreeMap<Month, MonthFile> = BTreeMap::new();
    let mut owed = BTreeSet::new();
    for date in &dates {
        let month = match months.entry(Month::of(*date)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(MonthFile::read(&state.daily(Month::of(*date)))?),
        };
        // A day is compressed once it owes nothing; what is added later makes a new file.
        let Some(written_at) = modified_at(&state.hourly(*date))? else { continue };
        if month.owes(*date, written_at, calendar::day_end(zone, *date)) {
            owed.insert(*date);
        }
    }
    let next = |date: &NaiveDate| date.checked_add_days(Days::new(1)).filter(|next| dates.contains(next));
    let following: Vec<NaiveDate> = owed.iter().filter_map(next).collect();
    owed.extend(following);
    Ok(owed)
}

/// The seals of a file in `daily/`.
#[derive(Debug, Default)]
struct MonthFile {
    modified_at: Option<DateTime<Utc>>,
    seals: BTreeMap<NaiveDate, SealedDay>,
}

impl MonthFile {
    /// There need not be such a file.
    fn read(path: &Path) -> Result<Self, StoreError> {
        let file = match open_to_read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other.map_err(StoreError::io("open", path))?,
        };
        let mut month = Self { modified_at: modified_at(path)?, seals: BTreeMap::new() };
        let (mut reader, mut line) = (BufReader::new(file), Vec::new());
        loop {
            line.clear();
            let read = reader.by_ref().take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut line);
            if read.map_err(StoreError::io("read", path))? == 0 {
                return Ok(month);
            }
            // A quick look first: nearly all lines are those of ports.
            if !line.starts_with(br#"{"v":1,"kind":"day""#)
                && let Ok(seal) = serde_json::from_slice::<SealedDay>(&line)
                && seal.kind == Kind::Seal
            {
                month.seals.insert(seal.day, seal);
            }
        }
    }

    /// Whether `day`, whose hourly log was last written at `written_at`, has to be rolled up again.
    fn owes(&self, day: NaiveDate, written_at: DateTime<Utc>, day_end: DateTime<Utc>) -> bool {
        let Some(seal) = self.seals.get(&day) else { return true };
        match seal.at {
            // A seal has whole seconds.
            Some(at) => at < day_end || at.timestamp() < written_at.timestamp(),
            None => self.modified_at.is_none_or(|modified_at| modified_at < written_at.max(day_end)),
        }
    }
}

/// When the file was last written to; `None` when there is none.
fn modified_at(path: &Path) -> Result<Option<DateTime<Utc>>, StoreError> {
    match fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(modified_at) => Ok(Some(modified_at.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::io("look at", path)(source)),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// Makes a file of `text` that was last written to at `modified_at`.
    fn write(path: &Path, text: &str, modified_at: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let seconds = u64::try_from(instant(modified_at).timestamp()).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    fn seal(day: &str, at: Option<&str>) -> String {
        let at = at.map(|at| format!(r#","at":"{at}""#)).unwrap_or_default();
        format!(
            "{{\"v\":1,\"kind\":\"day\",\"day\":\"{day}\",\"port\":443}}\n{{\"v\":1,\"kind\":\"seal\",\"day\":\"{day}\"{at}}}\n"
        )
    }

    #[test]
    fn a_day_is_owed_until_it_was_sealed_after_its_end_and_after_its_last_bucket() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        let zone = Tz::Asia__Shanghai;
        // Midnight in Shanghai is 16:00 UTC.
        let cases = [
            ("2026-10-01", Some("2026-10-02T00:00:01+08:00"), "2026-10-01T16:00:00Z", false),
            ("2026-10-03", Some("2026-10-03T23:59:59+08:00"), "2026-10-03T15:00:00Z", true),
            ("2026-10-05", Some("2026-10-06T00:00:01+08:00"), "2026-10-05T16:00:02Z", true),
            ("2026-10-07", Some("2026-10-08T00:00:00+08:00"), "2026-10-07T16:00:00Z", false),
            // Seals without an instant, in a file of 20 October, noon UTC.
            ("2026-10-09", None, "2026-10-09T16:00:00Z", false),
            ("2026-10-11", None, "2026-10-20T12:00:01Z", true),
            ("2026-10-20", None, "2026-10-20T11:00:00Z", true),
        ];
        let text: String = cases.iter().map(|(day, at, ..)| seal(day, *at)).collect();
        write(&state.daily("2026-10".parse().unwrap()), &text, "2026-10-20T12:00:00Z");
        for (day, _, modified_at, _) in cases {
            write(&state.hourly(date(day)), "", modified_at);
        }
        write(&state.hourly(date("2026-10-13")), "", "2026-10-13T12:00:00Z");
        write(&state.hourly(date("2026-11-01")), "", "2026-11-01T12:00:00Z");

        let expected = cases.iter().filter(|(.., owed)| *owed).map(|(day, ..)| date(day));
        let unsealed = [date("2026-10-13"), date("2026-11-01")];
        assert_eq!(days(&state, zone).unwrap(), expected.chain(unsealed).collect());
    }

    #[test]
    fn the_day_after_an_owed_day_is_owed_too_where_it_has_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        let sealed = seal("2026-10-02", Some("2026-10-03T00:00:00Z"));
        write(&state.daily("2026-10".parse().unwrap()), &sealed, "2026-10-03T00:00:00Z");
        for day in ["2026-10-01", "2026-10-02"] {
            write(&state.hourly(date(day)), "", "2026-10-02T23:00:00Z");
        }
        assert_eq!(days(&state, Tz::UTC).unwrap(), [date("2026-10-01"), date("2026-10-02")].into());
    }

    #[test]
    fn a_damaged_seal_is_no_seal_and_no_log_owes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        assert_eq!(days(&state, Tz::UTC).unwrap(), BTreeSet::new());
        write(&state.daily("2026-10".parse().unwrap()), "{\"v\":1,\"kind\":\"seal\",\"day\"", "2026-10-03T00:00:00Z");
        write(&state.hourly(date("2026-10-01")), "", "2026-10-01T12:00:00Z");
        assert_eq!(days(&state, Tz::UTC).unwrap(), [date("2026-10-01")].into());
    }
}
