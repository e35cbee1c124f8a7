//! The report is killed at every system call with an outside effect and run again: nobody gets two letters, and nobody
//! gets none, except those that the ledger calls unknown.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::alone::{ADDRESSES, Alone};
use crate::common::have_program;
use crate::fleet::PROGRAM;
use crate::stub::Stub;

/// The calls that change a file, or what the mail server knows. `recvfrom` comes right after the server knows it.
const CALLS: &str = "write,fsync,ftruncate,rename,unlink,mkdir,sendto,recvfrom";

/// Runs `report` under strace, which kills it when it enters a call for the n-th time.
fn report_under_strace(alone: &Alone, inject: Option<(&str, usize)>) -> std::process::ExitStatus {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(alone.dir.path().join("strace")).args(["-e", &format!("trace={CALLS}")]);
    if let Some((call, n)) = inject {
        strace.args(["-e", &format!("inject={call}:signal=SIGKILL:when={n}")]);
    }
    strace.arg(PROGRAM).args(["report", "--config"]).arg(alone.config());
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

/// How often an undisturbed run makes each call, at most in one of its threads, which is how strace counts.
fn calls() -> BTreeMap<String, usize> {
    let stub = Stub::start(&[]);
    let alone = Alone::with(&stub);
    assert!(report_under_strace(&alone, None).success());
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in fs::read_to_string(alone.dir.path().join("strace")).unwrap().lines() {
        let mut words = line.split_whitespace();
        let (Some(thread), Some(call)) = (words.next(), words.next()) else { continue };
        if let Some((call, _)) = call.split_once('(') {
            *counts.entry((thread.to_owned(), call.to_owned())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, call), count) in counts {
        let entry: &mut usize = most.entry(call).or_default();
        *entry = count.max(*entry);
    }
    most
}

#[test]
fn a_report_that_is_killed_anywhere_ends_with_one_letter_each() {
    if !have_program("strace", "kills at every system call") {
        return;
    }
    let calls = calls();
    assert!(calls["write"] > 10 && calls["fsync"] > 10 && calls["sendto"] > 10, "{calls:?}");
    let points: Vec<(&str, usize)> =
        calls.iter().flat_map(|(call, count)| (1..=*count).map(|n| (call.as_str(), n))).collect();
    let (next, unknown) = (Mutex::new(points.iter()), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(point) = next.lock().unwrap().next() else { return };
                    *unknown.lock().unwrap() += killed_at(*point);
                }
            });
        }
    });
    // Between the last byte of the letter and the line in the ledger, nobody can know whether it was accepted.
    assert!(*unknown.lock().unwrap() > 0, "no kill came between a letter and its answer");
}

/// How many letters became unknown.
fn killed_at(point: (&str, usize)) -> usize {
    let stub = Stub::start(&[]);
    let alone = Alone::with(&stub);
    let status = report_under_strace(&alone, Some(point));
    // strace exits as the program did. A worker may make the call only after the main thread has ended.
    assert!(status.success() || status.signal() == Some(9), "{point:?}: {status:?}");
    let ended = alone.report(&[]);
    let states: BTreeMap<String, String> = alone.last_states().into_iter().collect();
    let mut unknown = 0;
    for (address, user) in ADDRESSES.into_iter().zip(["alice", "bob", "-"]) {
        let taken = stub.taken_for(address);
        match states.get(user).map(String::as_str) {
            Some("sent") => assert_eq!(taken, 1, "{point:?} {user}"),
            Some("unknown") => {
                assert!(taken <= 1, "{point:?} {user}");
                unknown += 1;
            }
            other => panic!("{point:?} {user}: {other:?}"),
        }
    }
    assert_eq!(ended.code, Some(if unknown == 0 { 0 } else { 7 }), "{point:?}: {ended:?}");
    assert!(unknown <= 1, "{point:?}");
    // The third time there is nothing to do, and nothing is printed.
    let before = stub.taken().len();
    let ended = alone.report(&[]).with_code(0);
    assert_eq!((ended.stdout.as_str(), stub.taken().len()), ("", before), "{point:?}");
    unknown
}
