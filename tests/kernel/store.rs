//! The hourly log on a real file system that runs full.

use std::fs;
use std::path::{Path, PathBuf};

use flow_agent::store::journal::Journal;
use flow_agent::store::{StateDir, checkpoint, instance, ports};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::common::foreign::verify_seals;
use crate::common::have_root;
use crate::hourly::{bucket, go_on, read};

const PORTS: u16 = 100;

/// A file system of 1 MiB that only the calling thread sees, and that goes with it.
fn small_file_system() -> Option<PathBuf> {
    if !have_root("mounts") {
        return None;
    }
    let place = Path::new("/mnt");
    // SAFETY: the thread's own view of mounts; no file descriptor table is shared or split by it.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    mount("flow-agent-test", place, "tmpfs", MountFlags::empty(), c"size=1m").unwrap();
    Some(place.to_owned())
}

/// Takes all space but about `leave` bytes, with a file of this name.
fn fill(root: &Path, name: &str, leave: u64) -> PathBuf {
    let filler = root.join(name);
    let stat = rustix::fs::statvfs(root).unwrap();
    let free = stat.f_bavail * stat.f_frsize;
    fs::write(&filler, vec![0; usize::try_from(free.saturating_sub(leave)).unwrap()]).unwrap();
    filler
}

/// The hour that follows so many others.
fn hour(number: u64) -> String {
    format!("2026-10-{:02}T{:02}", 5 + number / 24, number % 24)
}

#[test]
fn a_disk_that_runs_full_and_is_freed_again_loses_no_bucket() {
    let Some(root) = small_file_system() else { return };
    let state = StateDir::new(root.join("state"));
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    let mut refused = None;
    // A bucket of 100 ports has 30 kB: 1 MiB is full after some thirty, in the middle of one.
    for number in 0..100 {
        let mut wanted = bucket(&hour(number), PORTS, number * 10, (number + 1) * 10);
        if let Err(error) = journal.append(&mut wanted) {
            refused = Some((number, wanted, error));
            break;
        }
    }
    let (number, mut wanted, error) = refused.expect("1 MiB is full before 100 buckets");
    assert!(error.is_full(), "{error}");
    assert!(number > 20, "full after {number}");
    let (buckets, damages) = read(&state);
    assert_eq!((buckets.len() as u64, damages), (number, vec![]), "the log is as before");
    assert!(journal.append(&mut wanted).unwrap_err().is_full(), "still full");

    // Space comes back: one old file goes.
    let oldest = state.hourly("2026-10-05".parse().unwrap());
    let freed = verify_seals(&oldest) as u64;
    fs::remove_file(oldest).unwrap();
    journal.append(&mut wanted).unwrap();
    let (buckets, damages) = read(&state);
    assert_eq!((buckets.len() as u64, damages), (number + 1 - freed, vec![]));
    assert_eq!(buckets.iter().sum::<u64>(), 10 * (number + 1 - freed));
    verify_seals(&state.hourly(hour(number)[..10].parse().unwrap()));
}

#[test]
fn killed_while_the_disk_is_full_the_counters_still_hold_the_bucket() {
    let Some(root) = small_file_system() else { return };
    let directory = root.join("state");
    let state = StateDir::new(&directory);
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    journal.append(&mut bucket(&hour(0), PORTS, 0, 100)).unwrap();
    let most = fill(&root, "most", 8 << 10);
    assert!(journal.append(&mut bucket(&hour(1), PORTS, 100, 250)).unwrap_err().is_full());
    drop(journal);
    // What a kill in the middle of the write would have left behind, on a disk without a byte to copy it to.
    let path = state.hourly("2026-10-05".parse().unwrap());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [whole.as_slice(), &whole[..4_000]].concat()).unwrap();
    let rest = fill(&root, "rest", 0);

    let refused = go_on(&directory, &hour(2), PORTS, 400).unwrap_err();
    assert!(refused.is_full(), "{refused}");
    assert_eq!(read(&state).0, [100]);
    fs::remove_file(rest).unwrap();
    fs::remove_file(most).unwrap();
    go_on(&directory, &hour(2), PORTS, 400).unwrap();
    assert_eq!(read(&state), (vec![100, 300], vec![]));
    verify_seals(&path);
}

#[test]
fn the_small_files_stay_as_they_were_on_a_full_disk() {
    let Some(root) = small_file_system() else { return };
    let state = StateDir::new(root.join("state"));
    let lock = state.lock_run().unwrap();
    let id = instance::ensure(&lock).unwrap();
    let point = |seq: u64| {
        let text = format!(
            r#"{{"v":1,"seq":{seq},"at":"2026-10-05T13:00:30+08:00","epoch":"a","totals":{{"443":[1,2,3,4,5,6,7,8]}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    let list = |port: u16| {
        let text = format!(r#"{{"v":1,"at":"2026-10-05T13:00:30+08:00","ports":{{"{port}":null}}}}"#);
        serde_json::from_str(&text).unwrap()
    };
    checkpoint::write(&lock, &point(1)).unwrap();
    ports::write(&lock, &list(443)).unwrap();
    let filler = fill(&root, "filler", 0);
    assert!(checkpoint::write(&lock, &point(2)).unwrap_err().is_full());
    assert!(ports::write(&lock, &list(8388)).unwrap_err().is_full());
    assert_eq!(checkpoint::read(&state).unwrap(), Some(point(1)));
    assert_eq!(ports::read(&state).unwrap(), Some(list(443)));
    drop(lock);
    // A start on a full disk takes the lock all the same, and knows who it is.
    let lock = state.lock_run().unwrap();
    assert_eq!(instance::ensure(&lock).unwrap(), id);
    fs::remove_file(filler).unwrap();
    checkpoint::write(&lock, &point(2)).unwrap();
    assert_eq!(checkpoint::read(&state).unwrap(), Some(point(2)));
}
