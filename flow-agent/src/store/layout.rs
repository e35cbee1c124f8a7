//! The paths of all files in the state directory. They are a contract, because other tools read them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;

use super::compressed;
use super::disk::{self, Disk, RealDisk};
use super::error::StoreError;
use crate::ledger::month::Month;

/// The state directory and the disk that it is on. Cheap to clone.
///
/// Reading needs nothing else. Writing needs the lock of the files in question, which is taken here.
#[derive(Clone, Debug)]
pub struct StateDir {
    root: PathBuf,
    disk: Arc<dyn Disk>,
}

impl StateDir {
    /// The state directory at `root` on the real disk. Nothing is accessed yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self::on(root, Arc::new(RealDisk))
    }

    /// The state directory at `root`, written through `disk`.
    pub fn on(root: impl Into<PathBuf>, disk: Arc<dyn Disk>) -> Self {
        Self { root: root.into(), disk }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The disk for durable writes.
    pub fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    /// Creates `dir`, which must be one of ours, and missing directories above it, unless they exist.
    ///
    /// # Errors
    /// When a directory cannot be created.
    pub fn create_dir(&self, dir: &Path) -> Result<(), StoreError> {
        disk::create_dirs(self.disk(), dir).map_err(StoreError::io("create the directory", dir))
    }

    /// The directory `hourly/`.
    pub fn hourly_dir(&self) -> PathBuf {
        self.root.join("hourly")
    }

    /// `hourly/2026-10-05.jsonl`: the buckets with this date in their `start`.
    pub fn hourly(&self, date: NaiveDate) -> PathBuf {
        self.hourly_dir().join(format!("{}.jsonl", date.format("%Y-%m-%d")))
    }

    /// `hourly/2026-10-05.jsonl.zst`: the same buckets, compressed once the day is over.
    pub fn hourly_compressed(&self, date: NaiveDate) -> PathBuf {
        self.hourly_dir().join(format!("{}.jsonl.{}", date.format("%Y-%m-%d"), compressed::EXTENSION))
    }

    /// The directory `daily/`.
    pub fn daily_dir(&self) -> PathBuf {
        self.root.join("daily")
    }

    /// `daily/2026-10.jsonl`: the days of a calendar month ([`Month::of`] a day).
    pub fn daily(&self, month: Month) -> PathBuf {
        self.daily_dir().join(format!("{month}.jsonl"))
    }

    /// `daily/open.jsonl`: the day that is not over yet, in the form of [`StateDir::daily`].
    pub fn open_day(&self) -> PathBuf {
        self.daily_dir().join("open.jsonl")
    }

    /// `monthly/2026.jsonl`: the billing months of a year.
    pub fn monthly(&self, year: i32) -> PathBuf {
        self.root.join("monthly").join(format!("{year:04}.jsonl"))
    }

    /// `nodes/NAME/daily/`: what was gathered from a node. `node` must be a validated name (no slash, no leading dot).
    pub fn node_daily_dir(&self, node: &str) -> PathBuf {
        self.root.join("nodes").join(node).join("daily")
    }

    /// `nodes/NAME/daily/2026-10.jsonl`: the days of a calendar month.
    pub fn node_daily(&self, node: &str, month: Month) -> PathBuf {
        self.node_daily_dir(node).join(format!("{month}.jsonl"))
    }

    /// `reports/2026-10/`: the report of a billing month, its page and its letters.
    pub fn reports(&self, month: Month) -> PathBuf {
        self.root.join("reports").join(month.to_string())
    }

    /// `checkpoint.json`
    pub fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint.json")
    }

    /// `ports.json`
    pub fn ports(&self) -> PathBuf {
        self.root.join("ports.json")
    }

    /// `metrics.json`
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.json")
    }

    /// `instance`
    pub fn instance(&self) -> PathBuf {
        self.root.join("instance")
    }

    /// `ship/`
    pub fn ship_dir(&self) -> PathBuf {
        self.root.join("ship")
    }

    /// `ship/ship.json`
    pub fn ship(&self) -> PathBuf {
        self.ship_dir().join("ship.json")
    }

    /// `sent.jsonl`
    pub fn sent(&self) -> PathBuf {
        self.root.join("sent.jsonl")
    }

    /// `grants.jsonl`
    pub fn grants(&self) -> PathBuf {
        self.root.join("grants.jsonl")
    }

    /// `notices.jsonl`
    pub fn notices(&self) -> PathBuf {
        self.root.join("notices.jsonl")
    }
}

#[cfg(test)]
mod tests;
