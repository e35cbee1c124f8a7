use super::*;

#[test]
fn empty_directories_are_found_and_the_systems_own_files_are_not() {
    let root = tempfile::tempdir().unwrap();
    for directory in ["usr/share/man/man8", "var/lib/dpkg/info", "var/lib/flow-agent"] {
        fs::create_dir_all(root.path().join(directory)).unwrap();
    }
    std::os::unix::fs::symlink("/", root.path().join("link")).unwrap();
    let found = all(root.path()).unwrap();
    let expected =
        ["link", "usr", "usr/share", "usr/share/man", "usr/share/man/man8", "var", "var/lib", "var/lib/flow-agent"];
    assert_eq!(found, expected.map(PathBuf::from).into());
}
