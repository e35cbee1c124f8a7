use super::*;

#[test]
fn an_error_says_what_and_where_and_what_to_do() {
    let path = PathBuf::from("/state/run.lock");
    let locked = StoreError::Locked { path: path.clone(), holder: Some(7) };
    assert_eq!(locked.to_string(), "another flow-agent (pid 7) holds `/state/run.lock`");
    assert!(locked.help().unwrap().starts_with("stop that one first"));
    let full = StoreError::io("append to", &path)(io::ErrorKind::StorageFull.into());
    assert_eq!(full.to_string(), "failed to append to `/state/run.lock`");
    assert!(full.is_full() && full.help().unwrap().starts_with("free some space"));
    let other = StoreError::io("append to", &path)(io::ErrorKind::NotFound.into());
    assert!(!other.is_full() && other.help().is_none());
}

#[test]
fn only_what_another_agent_or_history_has_taken_is_given_up() {
    let path = PathBuf::from("/state/run.lock");
    assert!(StoreError::Locked { path: path.clone(), holder: None }.is_final());
    assert!(StoreError::Ahead { found: 3, written: 2 }.is_final());
    assert!(StoreError::OtherInstance { path: path.clone(), found: "a".into(), expected: "b".into() }.is_final());
    assert!(!StoreError::io("append to", &path)(io::ErrorKind::StorageFull.into()).is_final());
    assert!(!StoreError::Changed { path, expected: 4, found: 2 }.is_final());
}
