//! The hourly log in a real process: killed at every system call, refused by the disk, and read by other programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use flow_agent::store::StateDir;
use flow_agent::store::journal::Journal;

use crate::common::foreign::{seals, verify_seals};
use crate::common::have_program;
use crate::hourly::{bucket, go_on, read};

/// The environment variable that tells the victim process its directory and scene.
const VICTIM: &str = "FLOW_AGENT_TEST_VICTIM";
const PORTS: u16 = 20;

/// A directory in memory if possible, because disk errors are injected here anyway.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The state of the log when the process begins, and where its bucket goes.
#[derive(Clone, Copy, Debug)]
enum Scene {
    SameFile,
    NewFile,
    /// The previous process died in the middle of a bucket.
    Torn,
}

impl Scene {
    const ALL: [Self; 3] = [Self::SameFile, Self::NewFile, Self::Torn];

    fn start(self) -> &'static str {
        match self {
            Self::SameFile | Self::Torn => "2026-10-05T23",
            Self::NewFile => "2026-10-06T00",
        }
    }

    /// Creates a log with one bucket of 100 bytes.
    fn prepare(self, root: &Path) {
        let state = StateDir::new(root);
        let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
        journal.append(&mut bucket("2026-10-05T22", PORTS, 0, 100)).unwrap();
        if let Self::Torn = self {
            let path = state.hourly("2026-10-05".parse().unwrap());
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, [bytes.as_slice(), &bytes[..bytes.len() / 2]].concat()).unwrap();
        }
    }
}

/// Under strace, this is the process that dies or whose calls are refused. Two calls of getppid delimit the interesting
/// part.
#[test]
fn a_process_opens_the_log_and_appends_a_bucket() {
    let Ok(wanted) = std::env::var(VICTIM) else {
        let dir = scratch();
        Scene::NewFile.prepare(dir.path());
        return append_between_marks(dir.path(), Scene::NewFile.start());
    };
    let (start, root) = wanted.split_once(' ').unwrap();
    append_between_marks(Path::new(root), start);
}

/// Makes a system call that nothing else makes.
fn mark() {
    assert_ne!(std::os::unix::process::parent_id(), std::process::id());
}

fn append_between_marks(root: &Path, start: &str) {
    let state = StateDir::new(root);
    let lock = state.lock_run().unwrap();
    mark();
    // What is refused once is tried again, as the agent does.
    let (mut journal, _) = Journal::open(&lock).or_else(|_| Journal::open(&lock)).unwrap();
    let mut wanted = bucket(start, PORTS, 100, 300);
    if journal.append(&mut wanted).is_err() {
        journal.append(&mut wanted).unwrap();
    }
    mark();
    assert_eq!(read(&state), (vec![100, 200], vec![]));
}

/// Runs this test's own binary under strace as the process above. The test harness is refused a second thread, so that
/// it runs the test in the first one and system calls can be counted.
fn strace(root: &Path, scene: Scene, trace: &str, inject: Option<&str>) -> Output {
    let mut strace = Command::new("strace");
    strace.arg("-qq").arg("-o").arg(root.join("strace"));
    strace.args(["-e", &format!("trace={trace}"), "-e", "inject=clone,clone3:error=EAGAIN"]);
    strace.args(inject.map(|inject| format!("--inject={inject}")));
    strace
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "store::a_process_opens_the_log_and_appends_a_bucket", "--nocapture"])
        .env(VICTIM, format!("{} {}", scene.start(), root.display()))
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap()
}

/// The system calls between the marks: each name, with its number among the calls of that name.
fn calls(scene: Scene) -> Vec<(String, usize)> {
    let dir = scratch();
    scene.prepare(dir.path());
    let output = strace(dir.path(), scene, "all", None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let text = fs::read_to_string(dir.path().join("strace")).unwrap();
    let (mut counts, mut found, mut marked): (BTreeMap<&str, usize>, Vec<_>, _) = (BTreeMap::new(), Vec::new(), false);
    for (name, _) in text.lines().filter_map(|line| line.split_once('(')) {
        let count = counts.entry(name).or_default();
        *count += 1;
        match (name, marked) {
            ("getppid", false) => marked = true,
            ("getppid", true) => return found,
            (_, true) => found.push((name.to_owned(), *count)),
            (_, false) => {}
        }
    }
    panic!("no marks in {text}");
}

/// The calls that touch the disk. The others only query something, or concern memory.
const OF_THE_DISK: [&str; 9] =
    ["openat", "write", "fsync", "ftruncate", "rename", "fchmod", "copy_file_range", "sendfile", "read"];

#[test]
fn a_kill_at_any_system_call_loses_no_byte_and_counts_none_twice() {
    if !have_program("strace", "kills at every system call") {
        return;
    }
    let mut kills = 0;
    for scene in Scene::ALL {
        let calls = calls(scene);
        assert!(calls.iter().filter(|(name, _)| name == "fsync").count() >= 3, "{scene:?}: {calls:?}");
        for (name, when) in calls {
            let dir = scratch();
            scene.prepare(dir.path());
            let inject = format!("{name}:signal=SIGKILL:when={when}");
            let output = strace(dir.path(), scene, &format!("clone,clone3,{name}"), Some(&inject));
            kills += 1;
            let log = fs::read_to_string(dir.path().join("strace")).unwrap();
            assert!(log.contains("+++ killed by SIGKILL +++"), "{scene:?}: {inject}: {output:?}");
            go_on(dir.path(), "2026-10-06T01", PORTS, 1_000).unwrap();
            let state = StateDir::new(dir.path());
            let (bytes, damages) = read(&state);
            assert!(
                bytes == [100, 900] || bytes == [100, 200, 700],
                "{scene:?}: {inject}: {bytes:?}, and {damages:?} do not count"
            );
            assert_eq!(damages, Vec::<String>::new(), "{scene:?}: {inject}");
            for date in ["2026-10-05", "2026-10-06"] {
                verify_seals(&state.hourly(date.parse().unwrap()));
            }
        }
    }
    println!("killed {kills} times");
}

#[test]
fn an_error_of_the_disk_at_any_system_call_is_made_up_for() {
    if !have_program("strace", "errors at every system call") {
        return;
    }
    for scene in Scene::ALL {
        let of_the_disk = calls(scene).into_iter().filter(|(name, _)| OF_THE_DISK.contains(&name.as_str()));
        for ((name, when), error) in of_the_disk.flat_map(|call| [(call.clone(), "EIO"), (call, "ENOSPC")]) {
            let dir = scratch();
            scene.prepare(dir.path());
            let inject = format!("{name}:error={error}:when={when}");
            let output = strace(dir.path(), scene, &format!("clone,clone3,{name}"), Some(&inject));
            // It saw its own two buckets, complete, and nothing else.
            assert!(output.status.success(), "{scene:?}: {inject}: {}", String::from_utf8_lossy(&output.stderr));
            go_on(dir.path(), "2026-10-06T01", PORTS, 1_000).unwrap();
            assert_eq!(read(&StateDir::new(dir.path())), (vec![100, 200, 700], vec![]), "{scene:?}: {inject}");
        }
    }
}

/// The documents with a command line that sums up hours. `zstdcat -f` passes on what is not compressed.
const DOCUMENTS: [&str; 2] = [include_str!("../../README.md"), include_str!("../../docs/formats.md")];

#[test]
fn the_documented_sum_of_a_port_includes_compressed_days() {
    if !["jq", "zstd", "bash"].iter().all(|program| have_program(program, "the documented sum")) {
        return;
    }
    let dir = scratch();
    let line = |port: u16, bytes: u64| format!("{{\"kind\":\"hour\",\"port\":{port},\"tcp_out_bytes\":{bytes}}}\n");
    fs::write(dir.path().join("2026-10-05.jsonl"), line(443, 1_000) + &line(80, 7)).unwrap();
    fs::write(dir.path().join("2026-10-06.jsonl"), line(443, 234) + "{\"kind\":\"seal\"}\n").unwrap();
    let compressed = Command::new("zstd").args(["-q", "--rm"]).arg(dir.path().join("2026-10-05.jsonl")).status();
    assert!(compressed.unwrap().success());
    for text in DOCUMENTS {
        let line = text.lines().find(|line| line.starts_with("zstdcat -f ")).unwrap();
        let line = line.replace("/var/lib/flow-agent/hourly", dir.path().to_str().unwrap());
        let output = Command::new("bash").args(["-o", "pipefail", "-c", &line]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "1234\n", "{line}");
    }
}

#[test]
fn every_seal_is_right_by_jq_and_sha256sum_until_a_digit_changes() {
    if !have_program("jq", "checks by tools that are not ours") {
        return;
    }
    let dir = scratch();
    let state = StateDir::new(dir.path());
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    for (hour, ports) in [("2026-10-05T20", 1), ("2026-10-05T21", 0), ("2026-10-05T22", 300), ("2026-10-05T23", 2)] {
        journal.append(&mut bucket(hour, ports, 0, 100)).unwrap();
    }
    let path = state.hourly("2026-10-05".parse().unwrap());
    assert_eq!(verify_seals(&path), 4);
    let text = fs::read_to_string(&path).unwrap();
    let end = text.rfind("\"tcp_in_bytes\":100").unwrap();
    fs::write(&path, format!("{}{}", &text[..end], text[end..].replacen("100", "101", 1))).unwrap();
    assert_eq!(seals(&path), [(2, true), (3, true), (304, true), (307, false)]);
}
