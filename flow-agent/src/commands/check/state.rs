//! Section state: whether the state directory can be written, who writes to it, and whether what it holds is whole.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use procfs::{LockKind, LockType};
use rustix::fs::{Access, AtFlags, CWD};

use super::finding::{Finding, Section};
use super::log;
use crate::config::Config;
use crate::ledger::units::Human;
use crate::store::{self, StateDir, StoreError};

/// Enough for some weeks of a few hundred ports, so that the warning comes before the disk is full.
const LITTLE_SPACE_BYTES: u64 = 256 << 20;

const RUN_LOCK: &str = "run.lock";

/// The findings about the state directory.
pub(super) fn findings(config: &Config, now: DateTime<Utc>) -> Vec<Finding> {
    let state = StateDir::new(&config.state_dir);
    let mut findings = vec![directory(state.root())];
    if !state.root().is_dir() {
        return findings;
    }
    findings.extend(space(state.root()));
    let holders = holders(state.root());
    let runs = holders.iter().any(|(file, _)| *file == RUN_LOCK);
    findings.extend(holders.into_iter().map(|(_, finding)| finding));
    match log::findings(&state, config, now, runs) {
        Ok(of_log) => findings.extend(of_log),
        Err(error) => findings.push(Finding::error(Section::State, &error)),
    }
    findings.extend(document("the last good port list", store::ports::read(&state)));
    findings.extend(document("the instance", store::instance::read(&state)));
    findings.extend(document("the checkpoint", store::checkpoint::read(&state)));
    findings
}

fn directory(root: &Path) -> Finding {
    let shown = root.display();
    match std::fs::metadata(root) {
        Ok(found) if !found.is_dir() => Finding::fail(Section::State, format!("`{shown}` is not a directory")),
        Ok(_) => match rustix::fs::accessat(CWD, root, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
            Ok(()) => Finding::ok(Section::State, format!("`{shown}`")),
            Err(error) => Finding::fail(Section::State, format!("`{shown}` cannot be written: {error}"))
                .help("run as its owner".to_owned()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Finding::ok(Section::State, format!("`{shown}` does not exist yet: `run` creates it"))
        }
        Err(error) => Finding::fail(Section::State, format!("`{shown}` cannot be inspected: {error}")),
    }
}

fn space(root: &Path) -> Option<Finding> {
    let found = rustix::fs::statvfs(root).ok()?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    (free < LITTLE_SPACE_BYTES).then(|| {
        Finding::warn(Section::State, format!("only {} are free", Human(free.into())))
            .help("free some space: buckets that cannot be written stay in memory".to_owned())
    })
}

/// The processes that write there, according to the kernel's list of locks. Taking a lock to find out would keep an
/// agent from starting.
fn holders(root: &Path) -> Vec<(&'static str, Finding)> {
    let Ok(locks) = procfs::locks() else { return Vec::new() };
    let doing = [
        (RUN_LOCK, "an agent is running"),
        ("daily.lock", "a rollup is running"),
        ("report.lock", "a report is running"),
    ];
    let holder = |(file, what): (&'static str, &str)| {
        let found = std::fs::metadata(root.join(file)).ok()?;
        let (major, minor) = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
        let lock = locks.iter().find(|lock| {
            let is_lock = matches!(lock.lock_type, LockType::FLock) && matches!(lock.kind, LockKind::Write);
            is_lock && lock.inode == found.ino() && (lock.devmaj, lock.devmin) == (major, minor)
        })?;
        let pid = lock.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
        Some((file, Finding::ok(Section::State, format!("{what}{pid}"))))
    };
    doing.into_iter().filter_map(holder).collect()
}

/// Whether an agent holds the lock of the state directory at `root`. `None` if the kernel does not list its locks.
pub(in crate::commands) fn agent_runs(root: &Path) -> Option<bool> {
    procfs::locks().ok()?;
    Some(holders(root).iter().any(|(file, _)| *file == RUN_LOCK))
}

fn document<T>(what: &str, found: Result<Option<T>, StoreError>) -> Option<Finding> {
    let error = found.err()?;
    let finding = Finding::error(Section::State, &error);
    Some(match error {
        StoreError::Damaged { .. } => Finding::warn(Section::State, finding.what)
            .help(format!("the next `run` creates {what} anew, without the contents of this one")),
        StoreError::Io { .. }
        | StoreError::Locked { .. }
        | StoreError::Changed { .. }
        | StoreError::Ahead { .. }
        | StoreError::OtherInstance { .. }
        | StoreError::Numbered { .. }
        | StoreError::TooLarge { .. } => finding,
    })
}

#[cfg(test)]
mod tests;
