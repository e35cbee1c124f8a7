//! What is in a root before an installation, and after a removal.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What dpkg and its tools write for themselves.
const OF_THE_SYSTEM: &[&str] = &["var/cache", "var/lib/dpkg", "var/log", "etc/ld.so.cache"];

/// Every file and directory of `root`, except for those that the system keeps for itself.
///
/// # Errors
/// When a directory cannot be read.
pub fn all(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).with_context(|| format!("failed to read {}", directory.display()))? {
            let entry = entry?;
            let path = entry.path().strip_prefix(root).context("it was found there")?.to_owned();
            if OF_THE_SYSTEM.iter().any(|system| path == Path::new(system)) {
                continue;
            }
            // A symbolic link is no directory here.
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            }
            found.insert(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
