//! Files that were kept after an earlier gathering. If neither the kept file nor the one on the node has changed, nothing
//! is copied or summed again.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs::File;
use std::path::{Path, PathBuf};

use super::found::VerifiedDays;
use super::verify::{Expected, verify_again};
use crate::guarded::FileIdentity;
use crate::ledger::month::Month;
use crate::ledger::statement::MonthDays;

/// A kept file that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFile {
    pub path: PathBuf,
    /// What it was when it was put there.
    pub kept: FileIdentity,
    /// What the file was that it is a copy of.
    pub origin: FileIdentity,
    /// The CRC-32C of the file.
    pub crc32c: u32,
}

impl KnownFile {
    /// Whether it is still a copy of the file at `source`.
    pub(super) fn is_copy_of(&self, source: &Path) -> bool {
        FileIdentity::at(source) == Some(self.origin) && FileIdentity::at(&self.path) == Some(self.kept)
    }

    /// What is in it; `None` if it is not what it was, or would not be accepted now.
    pub(super) fn found(&self, names: &[String], month: Month, add_up: MonthDays) -> Option<VerifiedDays> {
        let file = File::open(&self.path).ok()?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let verified = verify_again(file, Expected { names: &names, month: Some(month), add_up }).ok()?;
        (verified.unsealed.is_none() && verified.crc32c == self.crc32c).then(|| VerifiedDays::of(verified))
    }
}

#[cfg(test)]
mod tests;
