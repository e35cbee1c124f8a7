use super::*;

#[test]
fn cargo_deny_is_found_on_the_path_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = std::env::join_paths([std::path::Path::new("/nonexistent"), directory.path()]).unwrap();
    assert_eq!(deny(Some(&path)), None);
    assert_eq!(deny(None), None);
    std::fs::write(directory.path().join("cargo-deny"), "").unwrap();
    assert_eq!(deny(Some(&path)), Some(directory.path().join("cargo-deny")));
}
