//! Every way in which a file can change is reported.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs;
use std::future::Future;

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// Long enough for any machine; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);
const NEVER: Duration = Duration::from_secs(86_400);

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

async fn told(watch: &mut Watch, what: &str) {
    timeout(DEADLINE, watch.changed()).await.unwrap_or_else(|_| panic!("not told: {what}"));
}

#[test]
fn writing_replacing_removing_and_unlocking_are_told() {
    run(async {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("mudb.json");
        // Only inotify can report changes here, because the next look is too far away.
        let mut watch = Watch::looking_every([file.clone()], NEVER);

        fs::write(&file, "[]").unwrap();
        told(&mut watch, "it appeared").await;
        fs::write(&file, "[{}]").unwrap();
        told(&mut watch, "it was written in place").await;
        fs::write(directory.path().join("new"), "[]").unwrap();
        fs::rename(directory.path().join("new"), &file).unwrap();
        told(&mut watch, "another was renamed over it").await;
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        told(&mut watch, "its mode was changed").await;
        fs::remove_file(&file).unwrap();
        told(&mut watch, "it was removed").await;
    });
}

#[test]
fn what_happened_before_the_wait_is_told_once() {
    run(async {
        let directory = TempDir::new().unwrap();
        let (file, other) = (directory.path().join("mudb.json"), directory.path().join("other.json"));
        let mut watch = Watch::looking_every([file.clone()], NEVER);
        fs::write(&file, "[]").unwrap();
        told(&mut watch, "it was written").await;
        // A neighbouring file is not reported, and giving up a wait loses nothing.
        fs::write(&other, "[]").unwrap();
        assert!(timeout(QUIET * 4, watch.changed()).await.is_err(), "told of a neighbour, or twice");
        fs::write(&file, "[{}]").unwrap();
        assert!(timeout(Duration::ZERO, watch.changed()).await.is_err());
        told(&mut watch, "it was written while nobody waited").await;
    });
}

#[test]
fn a_file_in_a_directory_that_comes_later_is_told() {
    run(async {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("later/mudb.json");
        let mut watch = Watch::looking_every([file.clone()], Duration::from_millis(20));
        fs::create_dir(directory.path().join("later")).unwrap();
        fs::write(&file, "[]").unwrap();
        told(&mut watch, "it appeared with its directory").await;
        fs::rename(directory.path().join("later"), directory.path().join("gone")).unwrap();
        told(&mut watch, "its directory was renamed").await;
    });
}

#[test]
fn what_a_link_leads_to_is_watched() {
    run(async {
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("there")).unwrap();
        let (file, link) = (directory.path().join("there/mudb.json"), directory.path().join("mudb.json"));
        fs::write(&file, "[]").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut watch = Watch::looking_every([link], NEVER);
        fs::write(&file, "[{}]").unwrap();
        told(&mut watch, "the file behind the link was written").await;
    });
}

#[test]
fn other_files_can_be_watched_later() {
    run(async {
        let directory = TempDir::new().unwrap();
        let (first, second) = (directory.path().join("first"), directory.path().join("second"));
        let mut watch = Watch::looking_every([first.clone()], NEVER);
        watch.set_files([second.clone()]);
        fs::write(&first, "").unwrap();
        assert!(timeout(QUIET * 4, watch.changed()).await.is_err(), "told of a file that is watched no more");
        fs::write(&second, "").unwrap();
        told(&mut watch, "it appeared").await;
    });
}

#[test]
fn a_file_in_a_watched_folder_and_a_log_that_stays_open_are_told() {
    run(async {
        let directory = TempDir::new().unwrap();
        let folder = directory.path().join("confdir");
        fs::create_dir(&folder).unwrap();
        let log = directory.path().join("x-ui.db-wal");
        let mut open = fs::File::create(&log).unwrap();
        let mut watch = Watch::looking_every([folder.clone(), log], NEVER);
        fs::write(folder.join("05_inbounds.json"), "{}").unwrap();
        told(&mut watch, "a file appeared in the folder").await;
        std::io::Write::write_all(&mut open, b"a transaction").unwrap();
        told(&mut watch, "the log was written and not closed").await;
        fs::remove_file(folder.join("05_inbounds.json")).unwrap();
        told(&mut watch, "the file was removed").await;
    });
}
