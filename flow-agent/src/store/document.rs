//! Small files with one JSON object, which are replaced as a whole and have a checksum.

use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::disk::{self, Disk};
use super::error::StoreError;
use crate::guarded::open_to_read;
use crate::ledger::record::VERSION;
use crate::ledger::seal;

/// The maximum size of a file. No file of ours comes close to it.
const LIMIT_BYTES: u64 = 64 << 20;

/// Replaces the file at `path` with `value`, written as one line of JSON with its `check`.
///
/// # Errors
/// Like [`disk::replace`].
pub fn write<T: Serialize>(disk: &dyn Disk, path: &Path, value: &T) -> Result<(), StoreError> {
    write_line(disk, path, &line(value))
}

/// The line that [`write()`] writes.
pub fn line<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_string(value).expect("our documents have only string keys and finite numbers");
    seal::with_check(&json) + "\n"
}

/// Replaces the file at `path` with `line`.
///
/// # Errors
/// Like [`disk::replace`].
pub fn write_line(disk: &dyn Disk, path: &Path, line: &str) -> Result<(), StoreError> {
    disk::replace(disk, path, line.as_bytes()).map_err(StoreError::io("replace", path))
}

/// Reads the file at `path`; `None` if there is none.
///
/// # Errors
/// [`StoreError::Damaged`] if it is truncated, its checksum is wrong, or its `v` is unknown; [`StoreError::Io`].
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    read_text(path)?.map(|text| parse(path, &text)).transpose()
}

/// Reads a line that [`write()`] has written to the file at `path`.
///
/// # Errors
/// [`StoreError::Damaged`] as from [`read`].
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, StoreError> {
    let damaged = |what, source| StoreError::Damaged { path: path.to_owned(), what, source };
    if seal::check_holds(text) == Some(false) {
        return Err(damaged("its check does not match", None));
    }
    let version: Version =
        serde_json::from_str(text).map_err(|error| damaged("not JSON that flow-agent wrote", Some(error)))?;
    if version.v != VERSION {
        return Err(damaged("of an unknown version", None));
    }
    serde_json::from_str(text).map_err(|error| damaged("not JSON that flow-agent wrote", Some(error)))
}

/// Reads the text of a small file; `None` if there is none.
///
/// # Errors
/// [`StoreError::Damaged`] if it is not UTF-8 or too large; [`StoreError::Io`].
pub fn read_text(path: &Path) -> Result<Option<String>, StoreError> {
    let damaged = |_| StoreError::Damaged { path: path.to_owned(), what: "not UTF-8", source: None };
    read_bytes(path)?.map(|bytes| String::from_utf8(bytes).map_err(damaged)).transpose()
}

/// Reads the bytes of a small file; `None` if there is none.
///
/// # Errors
/// [`StoreError::Damaged`] if it is too large; [`StoreError::Io`].
pub fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match open_to_read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(StoreError::io("open", path))?,
    };
    let mut bytes = Vec::new();
    file.take(LIMIT_BYTES + 1).read_to_end(&mut bytes).map_err(StoreError::io("read", path))?;
    if bytes.len() as u64 > LIMIT_BYTES {
        let what = "larger than flow-agent would write";
        return Err(StoreError::Damaged { path: path.to_owned(), what, source: None });
    }
    Ok(Some(bytes))
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
