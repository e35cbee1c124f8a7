//! EDGE ssh: fetches the nodes' daily files, and takes only whole ones.
//!
//! A node may be broken or in strange hands: what it sends is bounded in size, time and memory, is verified before
//! anything is made of it, and can only ever stand for the node that our configuration calls by that name.

mod all;
pub mod enroll;
mod error;
mod local;
mod process;
mod scp;
mod settings;
mod verify;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

pub use all::{DailyFile, GatherConfig, NodeFiles, gather};
pub use error::{FetchError, GatherError, Rejected};
pub use scp::{Client, client};
pub use settings::{NodeConfig, NodeSource};

use crate::ledger::month::Month;

/// A daily file is never larger: 65,530 ports on 31 days with names of middling length are 600 MB.
pub const MOST_FILE_BYTES: u64 = 1 << 30;

/// Gets one node's files.
pub trait LogFetcher: Send + Sync {
    /// Copies `daily/MONTH.jsonl` from the node to `target`, which does not exist yet.
    ///
    /// Dropping the future ends whatever it started.
    ///
    /// # Errors
    /// [`FetchError::Absent`] when the node has no such file; else why it could not be had.
    fn fetch<'a>(&'a self, month: Month, target: &'a Path) -> Fetching<'a>;
}

/// What [`LogFetcher::fetch`] gives.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<(), FetchError>> + Send + 'a>>;

fn file_name(month: Month) -> String {
    format!("{month}.jsonl")
}
