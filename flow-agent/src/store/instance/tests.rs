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
