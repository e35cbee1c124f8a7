//! `flow-agent import`: imports the logs of the older scripts as buckets of quality `import`.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use super::{Common, output};
use crate::exit::{Code, Failure};
use crate::ledger::block::HourBlock;
use crate::ledger::legacy::{Import, LegacyDoubt};
use crate::ledger::record::stamp;
use crate::ledger::units::count;
use crate::store::StateDir;
use crate::store::hours::{HourItem, Hours};
use crate::store::journal::Journal;
use crate::store::lines::Lines;

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
/// their whole time, bytes are missing, and the code is 6 as well.
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
    let (mut journal, _) = Journal::open(&lock)?;
    let (mut written, mut there, mut partly) = (0_usize, 0_usize, Vec::new());
    let is_nothing_usable = imported.buckets.is_empty();
    let known = known(&state, &imported.buckets)?;
    for mut bucket in imported.buckets {
        let (start, end) = (bucket.seal.start.to_utc(), bucket.seal.end.to_utc());
        if known.iter().any(|known| known.start < end && start < known.end) {
            there += 1;
            if !covers(&known, start..end) {
                partly.push(bucket.seal.start..bucket.seal.end);
            }
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
    for time in &partly {
        text += &format!(
            "{} to {}: left out, because a part of this time is already in the log; what the scripts logged for the rest \
             is not imported\n",
            stamp::show(time.start),
            stamp::show(time.end)
        );
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
    let is_incomplete =
        is_nothing_usable || !partly.is_empty() || !imported.doubts.is_empty() || !imported.prefixes.is_empty();
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

/// The times of the buckets in the hourly log, around those of `buckets`.
fn known(state: &StateDir, buckets: &[HourBlock]) -> Result<Vec<Range<DateTime<Utc>>>, Failure> {
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return Ok(Vec::new()) };
    // A bucket may begin on the previous day and extend into this one.
    let from = first.seal.start.date_naive() - chrono::Days::new(1);
    let to = last.seal.end.date_naive() + chrono::Days::new(1);
    let mut known = Vec::new();
    for hour in Hours::read(state, from..=to)? {
        if let HourItem::Bucket(bucket) = hour? {
            known.push(bucket.seal.start.to_utc()..bucket.seal.end.to_utc());
        }
    }
    Ok(known)
}
