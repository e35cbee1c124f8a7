//! EDGE ssh: fetches the nodes' daily files, and accepts only complete ones.
//!
//! A node may be broken or compromised. What it sends is limited in size, time and memory, is verified before it is
//! used, and counts only for the node that our configuration has under that name.

mod all;
pub mod enroll;
mod error;
mod found;
mod known;
mod local;
mod open_day;
mod scp;
mod settings;
mod ssh;
mod verify;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

pub use all::{DailyFile, GatherConfig, NodeFiles, gather};
pub use error::{FetchError, GatherError, Rejected};
pub use found::VerifiedDays;
pub use known::KnownFile;
pub use scp::{CopyProgram, client};
pub use settings::{NodeConfig, NodeSource};

use crate::guarded::FileIdentity;
use crate::ledger::month::Month;

/// The largest daily file that is accepted. 65,530 ports on 31 days with names of average length take 600 MB.
pub const MOST_FILE_BYTES: u64 = 1 << 30;

/// Fetches the files of one node.
pub trait LogFetcher: Send + Sync {
    /// Copies the file `name` of `daily/` from the node to `target`, which does not exist yet. Returns what shows later
    /// whether it has changed since, where that can be known.
    ///
    /// Dropping the future kills every process that it started.
    ///
    /// # Errors
    /// [`FetchError::Absent`] when the node has no such file; otherwise why it could not be fetched.
    fn fetch<'a>(&'a self, name: &'a str, target: &'a Path) -> Fetching<'a>;
}

/// The future that [`LogFetcher::fetch`] returns.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Option<FileIdentity>, FetchError>> + Send + 'a>>;

/// The name of the file of the day that is not over yet.
const OPEN_DAY: &str = "open.jsonl";

fn file_name(month: Month) -> String {
    format!("{month}.jsonl")
}
