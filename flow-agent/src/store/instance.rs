//! `instance`: the random id of a state directory, made once; pins and chains in the kernel bear it.

use super::disk;
use super::document::read_text;
use super::error::StoreError;
use super::layout::StateDir;
use super::lock::RunLock;

/// Hex digits of an id. Few enough for the name of an iptables chain, and enough that no two are ever the same.
const DIGITS: usize = 16;

/// The id of this state directory: 16 lower-case hex digits. It is made, durably, where there is none.
///
/// # Errors
/// [`StoreError::Damaged`] when the file holds something else: what bears the id in the kernel cannot be found without
/// it, so no new one is made; [`StoreError::Io`].
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

/// Makes `id` the id of a state directory that has none; for an agent whose directory was lost while it counts.
///
/// # Errors
/// [`StoreError::OtherInstance`] when the directory has another id; as [`ensure`].
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

/// The id of this state directory; `None` when nothing ever ran here.
///
/// # Errors
/// As [`ensure`].
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
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::sweep::at_every_operation;

    #[test]
    fn an_id_that_was_given_out_is_never_lost_to_any_fault() {
        at_every_operation(
            |_| {},
            |state, _| ensure(&state.lock_run()?),
            |after| {
                let found = read(&after.state).unwrap();
                if let Ok(given) = &after.outcome {
                    assert_eq!(found.as_ref(), Some(given), "{after:?}");
                }
                let again = ensure(&after.state.lock_run().unwrap()).unwrap();
                assert!(found.is_none_or(|found| found == again));
            },
        );
    }

    #[test]
    fn two_directories_have_two_ids() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = |dir: &tempfile::TempDir| ensure(&StateDir::new(dir.path()).lock_run().unwrap()).unwrap();
        assert_ne!(id(&one), id(&two));
    }

    #[test]
    fn a_damaged_id_is_named_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        for wrong in ["", "0123456789abcde", "../../0123456789", "0123456789ABCDEF\n"] {
            fs::write(state.instance(), wrong).unwrap();
            let error = ensure(&state.lock_run().unwrap()).unwrap_err();
            assert!(error.to_string().ends_with("instance` is damaged: not 16 hex digits"), "{error}");
            assert_eq!(fs::read_to_string(state.instance()).unwrap(), wrong);
        }
    }
}
