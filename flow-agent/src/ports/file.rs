//! EDGE files: reads a port file, whole or not at all.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use super::formats::list::{self, ListError};
use super::formats::mudb::{self, MudbError};
use super::{Listed, PortFile, PortFileFormat};

/// Far more than 65,535 users take.
const MAX_BYTES: u64 = 64 << 20;

/// A port file that could not be taken over: its last good list stays.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the port file `{}`", path.display())]
pub struct PortFileError {
    pub path: PathBuf,
    #[source]
    pub source: Problem,
}

/// What is wrong with a port file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A pipe would hold everything up.
    #[error("not a regular file")]
    NotAFile,
    #[error("larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    #[error(transparent)]
    Mudb(#[from] MudbError),
    #[error(transparent)]
    List(#[from] ListError),
}

/// What `file` says now.
///
/// # Errors
/// When it cannot be read, is half written, or anything in it is not as it should be.
pub fn read(file: &PortFile) -> Result<Listed, PortFileError> {
    parse(file).map_err(|source| PortFileError { path: file.path.clone(), source })
}

fn parse(file: &PortFile) -> Result<Listed, Problem> {
    // Looked at before it is opened: opening a pipe waits for its writer.
    if !std::fs::metadata(&file.path)?.is_file() {
        return Err(Problem::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(&file.path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Problem::TooLarge);
    }
    match file.format {
        PortFileFormat::Mudb => Ok(mudb::parse(&bytes)?),
        PortFileFormat::List => Ok(list::parse(&bytes)?),
    }
}
