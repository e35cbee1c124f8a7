//! Reads only the seals of a file of blocks, compressed or not and however damaged, which takes a fraction of the time
//! that the blocks take. Whether the lines of a block are intact is not examined, only the seal's own checksum.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::compressed;
use super::error::StoreError;
use crate::ledger::block::MAX_LINE_BYTES;
use crate::ledger::seal::check_holds;

/// The beginnings of nearly all lines, which are not seals.
const LINES: [&[u8]; 2] = [br#"{"v":1,"kind":"day""#, br#"{"v":1,"kind":"hour""#];

/// Calls `take` with each line of the file that can be read as `S`, until it returns `false`. It is the caller who
/// examines the `kind`. A file that does not exist has no seals, and one with a damaged compressed frame has those
/// before the damage.
///
/// # Errors
/// When the file cannot be read.
pub fn read<S: DeserializeOwned>(path: &Path, mut take: impl FnMut(S) -> bool) -> Result<(), StoreError> {
    let content = match compressed::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(StoreError::io("open", path))?,
    };
    let (mut reader, mut line) = (BufReader::new(content), Vec::new());
    loop {
        line.clear();
        match reader.by_ref().take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut line) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if reader.get_ref().is_damaged(&error) => return Ok(()),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        }
        if LINES.iter().any(|start| line.starts_with(start)) {
            continue;
        }
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        if let Ok(seal) = serde_json::from_str::<S>(text)
            && check_holds(text) != Some(false)
            && !take(seal)
        {
            return Ok(());
        }
    }
}
