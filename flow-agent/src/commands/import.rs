//! `flow-agent import`: imports the logs of the older scripts as buckets of quality `import`.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use super::{Common, output};
use crate::exit::{Code, Failure};
use crate::ledger::block::{Daily, HourBlock};
use crate::ledger::calendar;
use crate::ledger::legacy::{Import, LegacyDoubt};
use crate::ledger::month::Month;
use crate::ledger::record::{Checkpoint, Quality, stamp};
use crate::ledger::units::count;
use crate::store::blocks::{Blocks, Item};
use crate::store::hours::{self, HourItem, Hours};
use crate::store::journal::Journal;
use crate::store::lines::Lines;
use crate::store::{StateDir, first_counted};

/// Maximum length of a line; none in these logs is longer.
const MOST_LINE_BYTES: usize = 64 << 10;

/// Import the day and month logs of the iptables scripts
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Logs, or directories that contain *_daylog.txt and *_monthlog.txt
    #[arg(required = true, value_name = "DIR-OR-FILE")]
    pub from: Vec<PathBuf>,
}

/// Imports all usable lines and prints every doubtful one. If there is any, or if no line is usable, the code is 6.
/// Buckets that overlap one in the hourly log are left out, so that importing twice counts once. If the log does not have
/// their whole time, bytes are missing, and the code is 6 as well; so it is for buckets of days whose hours were deleted,
/// and of the time since this machine began to count.
///
/// # Errors
/// Exit code 5 if a log cannot be read, the agent is running (its lock is needed), or the hourly log cannot be written.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    let mut import = Import::new(config.timezone);
    let files = files(&args.from)?;
    for path in &files {
        read(path, &mut import)?;
    }
    let mut imported = import.finish(&config.node);
    let state = StateDir::new(&config.state_dir);
    let lock = state.lock_run()?;
    let (mut journal, recovery) = Journal::open(&lock)?;
    let (mut written, mut there, mut partly) = (0_usize, 0_usize, Vec::new());
    let (mut gone, mut after) = (Vec::new(), Vec::new());
    let is_nothing_usable = imported.buckets.is_empty();
    let Known { times: known, counted_from } = known(&state, config.timezone, recovery.checkpoint.as_ref())?;
    let days_of_seals = days_without_hours(&state, &imported.buckets)?;
    for mut bucket in imported.buckets {
        let (start, end) = (bucket.seal.start.to_utc(), bucket.seal.end.to_utc());
        if known.iter().any(|known| known.start < end && start < known.end) {
            there += 1;
            if !covers(&known, start..end) {
                partly.push(bucket.seal.start..bucket.seal.end);
            }
        } else if days_of_seals.contains(&bucket.seal.start.date_naive()) {
            gone.push(bucket.seal.start..bucket.seal.end);
        } else if counted_from.is_some_and(|from| end > from) {
            after.push(bucket.seal.start..bucket.seal.end);
        } else {
            journal.append(&mut bucket)?;
            written += 1;
        }
    }
    // Doubts are found in several passes, but are printed in the order of the files.
    imported.doubts.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut text = String::new();
    for ((path, line), doubt) in &imported.doubts {
        text += &format!("{}:{line}: {doubt}\n", path.display());
    }
    for (short, long) in &imported.prefixes {
        text += &format!(
            "ports {short} and {long}: the scripts also counted the traffic of {long} for {short}; the sums of both \
             are doubtful\n"
        );
    }
    let omitted = [
        (&partly, "a part of this time is already in the log; what the scripts logged for the rest is not imported"),
        (&gone, "the daily log has this day, and its hours were deleted"),
        (
            &after,
            "flow-agent has counted since before that; its counters may hold what the scripts logged, so it would count \
             twice",
        ),
    ];
    for (times, why) in omitted {
        for time in times {
            text += &format!("{} to {}: left out, because {why}\n", stamp::show(time.start), stamp::show(time.end));
        }
    }
    let left_out = imported.doubts.iter().filter(|(_, doubt): &&(_, LegacyDoubt)| !doubt.is_taken()).count();
    text += &format!(
        "{}: {} imported, {there} left out (their time is already in the log), {} skipped, {} more doubtful\n",
        count(files.len(), "file"),
        count(written, "bucket"),
        count(left_out, "line"),
        imported.doubts.len() - left_out,
    );
    text += match is_nothing_usable {
        true => {
            "no usable lines found: name logs of the scripts, or directories that contain *_daylog.txt or \
             *_monthlog.txt\n"
        }
        false => "they contain only outgoing TCP over IPv4; `flow-agent rollup` makes the days from them\n",
    };
    output::print(&text)?;
    let is_incomplete = is_nothing_usable
        || omitted.iter().any(|(times, _)| !times.is_empty())
        || !imported.doubts.is_empty()
        || !imported.prefixes.is_empty();
    Ok(if is_incomplete { Code::Incomplete } else { Code::Done })
}

/// Whether `known` together contain all of `time`.
fn covers(known: &[Range<DateTime<Utc>>], time: Range<DateTime<Utc>>) -> bool {
    let mut known: Vec<_> = known.iter().collect();
    known.sort_by_key(|known| known.start);
    let mut until = time.start;
    for known in known.into_iter().filter(|known| known.end > time.start) {
        if known.start > until {
            break;
        }
        until = until.max(known.end);
    }
    until >= time.end
}

/// The given files, and the logs in the given directories, sorted by name.
fn files(from: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in from {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("failed to read `{}`", path.display()));
        let mut found = Vec::new();
        for entry in entries.map_err(|error| Failure::new(Code::Store, error))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with("_daylog.txt") || name.ends_with("_monthlog.txt") {
                found.push(entry.path());
            }
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn read(path: &Path, import: &mut Import<(PathBuf, u64)>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        let error = anyhow::Error::new(error).context(format!("failed to read `{}`", path.display()));
        Failure::new(Code::Store, error).help("name logs of the scripts, or directories that contain such logs")
    };
    let reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut lines = Lines::new(reader, MOST_LINE_BYTES);
    while let Some(line) = lines.next_line().map_err(failed)? {
        let place = (path.to_owned(), line.number);
        match line.text {
            Some(text) => import.take(&String::from_utf8_lossy(text), place),
            None => import.refuse(place),
        }
    }
    Ok(())
}

/// What this machine has counted or imported before.
struct Known {
    /// The times of the buckets in the hourly log. One bucket may cover many days.
    times: Vec<Range<DateTime<Utc>>>,
    /// When the counters of this machine began; `None` if they never did. What they hold is not sealed yet if no agent
    /// is running.
    counted_from: Option<DateTime<Utc>>,
}

fn known(state: &StateDir, zone: Tz, checkpoint: Option<&Checkpoint>) -> Result<Known, Failure> {
    let first_day = first_counted::day(state)?.map(|day| calendar::day_start(zone, day));
    let unsealed = checkpoint.map(|checkpoint| checkpoint.start.unwrap_or(checkpoint.at).to_utc());
    let mut known = Known { times: Vec::new(), counted_from: None };
    for hour in Hours::read(state, NaiveDate::MIN..=NaiveDate::MAX)? {
        if let HourItem::Bucket(bucket) = hour? {
            let (start, end) = (bucket.seal.start.to_utc(), bucket.seal.end.to_utc());
            known.times.push(start..end);
            if bucket.seal.quality != Quality::Import {
                known.counted_from = Some(known.counted_from.map_or(start, |from| from.min(start)));
            }
        }
    }
    // The hours of the first day may be gone.
    let is_gone = |day: &DateTime<Utc>| {
        known
            .counted_from
            .is_none_or(|from| calendar::local(zone, from).date_naive() > calendar::local(zone, *day).date_naive())
    };
    let first_day = first_day.filter(is_gone);
    known.counted_from = [known.counted_from, first_day, unsealed].into_iter().flatten().min();
    Ok(known)
}

/// Those days of `buckets` that the daily log has, but of which the hourly log has nothing. With the import alone, they
/// would be made again from less.
fn days_without_hours(state: &StateDir, buckets: &[HourBlock]) -> Result<BTreeSet<NaiveDate>, Failure> {
    let days: BTreeSet<NaiveDate> = buckets.iter().map(|bucket| bucket.seal.start.date_naive()).collect();
    let months: BTreeSet<Month> = days.iter().map(|day| Month::of(*day)).collect();
    let mut sealed = BTreeSet::new();
    for month in months {
        for item in Blocks::<Daily>::open(&state.daily(month))?.into_iter().flatten() {
            if let Item::Block(found) = item?
                && found.block.seal.buckets_sealed > 0
            {
                sealed.insert(found.block.seal.day);
            }
        }
    }
    Ok(days.into_iter().filter(|day| sealed.contains(day) && !hours::has_file(state, *day)).collect())
}
