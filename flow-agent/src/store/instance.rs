//! `instance`: the random id of a state directory, which is generated once. Pins and chains in the kernel carry it.

use super::disk;
use super::document::read_text;
use super::error::StoreError;
use super::layout::StateDir;
use super::lock::RunLock;

/// The number of hex digits: short enough for the name of an iptables chain, and enough to make collisions practically
/// impossible.
const DIGITS: usize = 16;

/// The id of this state directory: 16 lowercase hex digits. If there is none, it is generated and stored durably.
///
/// # Errors
/// [`StoreError::Damaged`] if the file contains something else. No new id is generated then, because it would not lead
/// to the counters in the kernel that carry the old one. [`StoreError::Io`].
pub fn ensure(lock: &RunLock) -> Result<String, StoreError> {
    let state = lock.state();
    if let Some(id) = read(state)? {
        return Ok(id);
    }
    let mut id = uuid::Uuid::new_v4().simple().to_string();
    id.truncate(DIGITS);
    write(state, &id)?;
    Ok(id)
}

/// Makes `id` the id of a state directory that has none. For an agent that lost its directory while counting.
///
/// # Errors
/// [`StoreError::OtherInstance`] if the directory has another id; otherwise like [`ensure`].
pub fn keep(lock: &RunLock, id: &str) -> Result<(), StoreError> {
    let (state, path) = (lock.state(), lock.state().instance());
    match read(state)? {
        Some(found) if found == id => Ok(()),
        Some(found) => Err(StoreError::OtherInstance { path, found, expected: id.to_owned() }),
        None => write(state, id),
    }
}

fn write(state: &StateDir, id: &str) -> Result<(), StoreError> {
    let path = state.instance();
    disk::replace(state.disk(), &path, format!("{id}\n").as_bytes()).map_err(StoreError::io("replace", &path))
}

/// The id of this state directory; `None` if no agent ever ran here.
///
/// # Errors
/// Like [`ensure`].
pub fn read(state: &StateDir) -> Result<Option<String>, StoreError> {
    let path = state.instance();
    let Some(text) = read_text(&path)? else { return Ok(None) };
    let id = text.trim_end();
    if id.len() == DIGITS && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(Some(id.to_owned()))
    } else {
        Err(StoreError::Damaged { path, what: "not 16 hex digits", source: None })
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
