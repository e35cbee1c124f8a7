//! The hourly log on a real file system that becomes full.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flow_agent::ledger::record::Checkpoint;
use flow_agent::store::journal::Journal;
use flow_agent::store::{StateDir, checkpoint, instance, ports};
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::common::foreign::verify_seals;
use crate::common::{have_program, have_root};
use crate::hourly::{bucket, go_on, read};

const PORTS: u16 = 100;

/// Where file systems are mounted that only the calling thread sees.
const PLACE: &str = "/mnt";

/// Gives the calling thread private mounts, which disappear with it. Returns `false` without root.
pub fn own_mounts() -> bool {
    if !have_root("mounts") {
        return false;
    }
    // SAFETY: this unshares only the mounts of the thread, and no file descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    true
}

/// A file system of 1 MiB.
fn small_file_system() -> Option<PathBuf> {
    if !own_mounts() {
        return None;
    }
    mount("flow-agent-test", PLACE, "tmpfs", MountFlags::empty(), c"size=1m").unwrap();
    Some(PLACE.into())
}

/// An ext4 file system whose power can be cut.
struct Ext4 {
    directory: tempfile::TempDir,
}

impl Ext4 {
    fn make() -> Option<Self> {
        if !own_mounts() || !have_program("mkfs.ext4", "power cuts") {
            return None;
        }
        let ext4 = Self { directory: tempfile::tempdir().unwrap() };
        fs::File::create(ext4.image()).unwrap().set_len(16 << 20).unwrap();
        run(Command::new("mkfs.ext4").arg("-qF").arg(ext4.image()));
        ext4.mount();
        Some(ext4)
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    fn mount(&self) {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(PLACE));
    }

    /// Drops everything that is not on disk yet, and mounts the file system again as after a restart.
    fn cut_power(&self) {
        const FS_IOC_SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
        const NO_LOG_FLUSH: u32 = 2;
        let root = fs::File::open(PLACE).unwrap();
        // SAFETY: the request reads one u32, which it is given.
        unsafe { ioctl(&root, Setter::<FS_IOC_SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }.unwrap();
        drop(root);
        unmount(PLACE, UnmountFlags::empty()).unwrap();
        self.mount();
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        // The loop device is removed together with the mount.
        if let Err(error) = unmount(PLACE, UnmountFlags::empty()) {
            eprintln!("{PLACE} stays mounted until this thread ends: {error}");
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Takes all space except about `leave` bytes, with a file of this name.
pub fn fill(root: &Path, name: &str, leave: u64) -> PathBuf {
    let filler = root.join(name);
    let stat = rustix::fs::statvfs(root).unwrap();
    let free = stat.f_bavail * stat.f_frsize;
    fs::write(&filler, vec![0; usize::try_from(free.saturating_sub(leave)).unwrap()]).unwrap();
    filler
}

/// A checkpoint that follows a bucket.
fn point(seq: u64) -> Checkpoint {
    let text = format!(
        r#"{{"v":1,"seq":{seq},"at":"2026-10-05T13:00:30+08:00","epoch":"a","totals":{{"443":[1,2,3,4,5,6,7,8]}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

/// The hour that follows this many others.
fn hour(number: u64) -> String {
    format!("2026-10-{:02}T{:02}", 5 + number / 24, number % 24)
}

#[test]
fn a_disk_that_runs_full_and_is_freed_again_loses_no_bucket() {
    let Some(root) = small_file_system() else { return };
    let state = StateDir::new(root.join("state"));
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    let mut refused = None;
    // A bucket of 100 ports takes 30 kB, so 1 MiB is full after some thirty, in the middle of one.
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

    // Removing an old file makes space.
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
    // What a kill in the middle of the write would have left, on a disk without room to copy it.
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
    // A start on a full disk still takes the lock, and knows its id.
    let lock = state.lock_run().unwrap();
    assert_eq!(instance::ensure(&lock).unwrap(), id);
    fs::remove_file(filler).unwrap();
    checkpoint::write(&lock, &point(2)).unwrap();
    assert_eq!(checkpoint::read(&state).unwrap(), Some(point(2)));
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_of_a_real_file_system() {
    let Some(ext4) = Ext4::make() else { return };
    let root = Path::new(PLACE).join("state");
    let state = StateDir::new(&root);
    let steps: [&dyn Fn(); 5] = [
        &|| go_on(&root, &hour(0), PORTS, 100).unwrap(),
        &|| go_on(&root, &hour(1), PORTS, 300).unwrap(),
        // A new file.
        &|| go_on(&root, &hour(24), PORTS, 600).unwrap(),
        &|| checkpoint::write(&state.lock_run().unwrap(), &point(3)).unwrap(),
        &|| checkpoint::write(&state.lock_run().unwrap(), &point(4)).unwrap(),
    ];
    let id = instance::ensure(&state.lock_run().unwrap()).unwrap();
    for (number, step) in steps.into_iter().enumerate() {
        step();
        // What nobody waited for: half a bucket, and a file.
        let mut log = fs::OpenOptions::new().append(true).open(state.hourly("2026-10-05".parse().unwrap())).unwrap();
        log.write_all(b"{\"v\":1,\"kind\":\"hour\",").unwrap();
        fs::write(state.hourly("2026-10-07".parse().unwrap()), "{\"v\":1,").unwrap();
        drop(log);
        ext4.cut_power();
        let acknowledged: &[u64] = &[100, 200, 300][..(number + 1).min(3)];
        assert_eq!(read(&state).0, acknowledged, "after step {number}");
        assert_eq!(
            checkpoint::read(&state).unwrap().map(|found| found.seq),
            [None, None, None, Some(3), Some(4)][number]
        );
        let lock = state.lock_run().unwrap();
        assert_eq!(instance::ensure(&lock).unwrap(), id);
        Journal::open(&lock).unwrap();
        assert_eq!(read(&state), (acknowledged.to_vec(), vec![]), "after step {number}, put right");
    }
}
