//! A temporary directory on a real disk.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// A directory below `target`, which is removed on drop.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn make(name: &str) -> Result<Self> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{}-{name}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: failed to remove {}: {error}", self.0.display());
        }
    }
}
