use std::fs;
use std::io::Write as _;

use super::*;
use crate::testing::fixtures;

#[test]
fn a_file_is_another_after_any_change_and_a_symlink_is_none() {
    let dir = fixtures::dir();
    let (path, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::write(&path, "one").unwrap();
    let mut known = FileIdentity::at(&path).unwrap();
    let mut changed = |what: &str| {
        let now = FileIdentity::at(&path).unwrap();
        assert_ne!(std::mem::replace(&mut known, now), now, "{what}");
    };
    // The clock of the kernel ticks at least every 10 ms.
    let wait = || std::thread::sleep(std::time::Duration::from_millis(30));
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"x").unwrap();
    changed("it is longer");
    wait();
    fs::write(&path, "onex").unwrap();
    changed("it was written again");
    wait();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let then = file.metadata().unwrap().modified().unwrap();
    file.set_modified(then).unwrap();
    changed("somebody has set the time of its last modification");
    fs::write(dir.path().join("other"), "onex").unwrap();
    fs::rename(dir.path().join("other"), &path).unwrap();
    changed("it was replaced");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(FileIdentity::at(&link), None);
    assert_eq!(FileIdentity::at(&dir.path().join("absent")), None);
}

#[test]
fn a_change_is_settled_after_two_seconds() {
    let dir = fixtures::dir();
    fs::write(dir.path().join("file"), "").unwrap();
    let identity = FileIdentity { changed: (100, 5), ..FileIdentity::at(&dir.path().join("file")).unwrap() };
    assert!(!identity.was_settled((101, 999_999_999)) && identity.was_settled((102, 0)));
}
