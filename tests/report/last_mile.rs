//! The last mile, from sealed hours to mailed figures. Each system call of `rollup` and `report` that has an effect
//! outside the process fails once, or the process is killed there. After another run the mailed figures are the sealed
//! ones, every user has exactly one letter per revision or is reported as `unknown`, and nothing is counted twice.
//!
//! By default a sample of these points is run; `FLOW_AGENT_SWEEP=all cargo xtask test last_mile::` runs all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;

use chrono::NaiveDate;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::alone::Alone;
use crate::common::have_program;
use crate::fleet::{Ended, PROGRAM, lines, parsed};
use crate::month::thousands;
use crate::stub::Stub;

/// The calls that change a file, take a lock, or tell the mail server something. `recvfrom` comes right after the
/// server knows it.
const CALLS: &str = "write,fsync,fdatasync,ftruncate,rename,unlink,mkdir,flock,copy_file_range,sendto,recvfrom";

/// How many points are tried, unless all of them are requested.
const SAMPLE: usize = 30;

/// User, port and bytes a day: TCP in, TCP out, UDP in, UDP out.
const MOVED: [(&str, u16, [u64; 4]); 2] = [("alice", 443, [1, 20, 300, 4_000]), ("bob", 80, [5, 6, 7, 8])];

/// A command on the last mile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Rollup,
    Report,
}

/// The n-th time that a thread of this command makes this call, and what happens then.
#[derive(Clone, Debug)]
struct Point {
    step: Step,
    call: String,
    n: usize,
    /// In strace's notation: `signal=SIGKILL`, `error=EIO`.
    fault: &'static str,
    /// Whether it also happens to other threads than the first.
    in_all_threads: bool,
}

/// The calls of one thread in an undisturbed run, by name: for each call, whether it is one that can fail.
type Calls = BTreeMap<String, Vec<bool>>;

/// What can happen at a call: the process is killed, or the call fails.
fn faults(call: &str) -> &'static [&'static str] {
    match call {
        "write" | "copy_file_range" => &["signal=SIGKILL", "error=EIO", "error=ENOSPC"],
        "mkdir" | "rename" => &["signal=SIGKILL", "error=ENOSPC"],
        "flock" => &["signal=SIGKILL", "error=ENOLCK"],
        "sendto" | "recvfrom" => &["signal=SIGKILL", "error=ECONNRESET"],
        _ => &["signal=SIGKILL", "error=EIO"],
    }
}

/// A main node that also counts, with a month of sealed hours that were never rolled up.
struct Machine {
    alone: Alone,
    stub: Stub,
}

impl Machine {
    fn new() -> Self {
        let stub = Stub::start(&[]);
        let alone = Alone::with(&stub);
        fs::remove_dir_all(alone.state_dir().join("daily")).unwrap();
        let hourly = alone.state_dir().join("hourly");
        fs::create_dir_all(&hourly).unwrap();
        for (number, day) in (1..).zip(alone.month.days()) {
            fs::write(hourly.join(format!("{day}.jsonl")), sealed_day(number, day)).unwrap();
        }
        Self { alone, stub }
    }

    fn command(&self, step: Step, mut command: Command) -> Command {
        match step {
            Step::Rollup => command.args(["rollup", "--month", &self.alone.month.name()]),
            Step::Report => command.arg("report"),
        };
        command.arg("--config").arg(self.alone.config()).stdin(Stdio::null());
        command
    }

    fn run(&self, step: Step) -> Ended {
        self.command(step, Command::new(PROGRAM)).output().unwrap().into()
    }

    fn trace(&self) -> PathBuf {
        self.alone.dir.path().join("strace")
    }

    /// Runs it under strace, which makes a call fail or kills the process at `point`. Returns the exit status and what
    /// it printed. A run that does not end is killed.
    fn run_under_strace(&self, step: Step, point: Option<&Point>) -> (ExitStatus, String) {
        let mut strace = Command::new("timeout");
        strace.args(["--signal=KILL", "120", "strace", "-qq", "-y", "-o"]).arg(self.trace());
        strace.args(["-e", &format!("trace={CALLS}")]);
        if point.is_none_or(|point| point.in_all_threads) {
            strace.arg("-f");
        }
        if let Some(point) = point {
            strace.args(["-e", &format!("inject={}:{}:when={}", point.call, point.fault, point.n)]);
        }
        strace.arg(PROGRAM);
        let mut strace = self.command(step, strace);
        let output = strace.stdout(Stdio::piped()).stderr(Stdio::null()).output().unwrap();
        (output.status, String::from_utf8(output.stdout).unwrap())
    }

    /// The calls of each thread in an undisturbed run, with the first thread first.
    fn calls(&self) -> Vec<Calls> {
        let trace = fs::read_to_string(self.trace()).unwrap();
        let mut threads: Vec<(&str, Calls)> = Vec::new();
        for line in trace.lines() {
            let mut words = line.split_whitespace();
            let (Some(thread), Some(word)) = (words.next(), words.next()) else { continue };
            let Some((call, _)) = word.split_once('(') else { continue };
            let index = threads.iter().position(|(id, _)| *id == thread).unwrap_or_else(|| {
                threads.push((thread, Calls::new()));
                threads.len() - 1
            });
            threads[index].1.entry(call.to_owned()).or_default().push(can_fail(line));
        }
        threads.into_iter().map(|(_, calls)| calls).collect()
    }

    /// Whether the fault occurred at a call that can fail, and at no other.
    fn was_hit(&self) -> bool {
        let trace = fs::read_to_string(self.trace()).unwrap();
        let mut injected = trace.lines().filter(|line| line.contains("(INJECTED)")).peekable();
        (injected.peek().is_some() && injected.all(can_fail)) || trace.contains("+++ killed by SIGKILL +++")
    }
}

/// Whether the call in this line of a trace concerns a file, a socket or the terminal. A call that only wakes a thread
/// of the program never fails in reality, and the runtime rightly does not expect that.
fn can_fail(line: &str) -> bool {
    !line.contains("<anon_inode:[eventfd]>")
}

/// A day in one bucket, as if the agent had been stopped from midnight to midnight.
fn sealed_day(seq: u64, day: NaiveDate) -> String {
    let times = format!(r#""start":"{day}T00:00:00+00:00","end":"{}T00:00:00+00:00""#, day.succ_opt().unwrap());
    let mut text = String::new();
    for (user, port, [a, b, c, d]) in MOVED {
        writeln!(
            text,
            r#"{{"v":1,"kind":"hour",{times},"port":{port},"user":"{user}","tcp_in_bytes":{a},"tcp_in_packets":1,"tcp_out_bytes":{b},"tcp_out_packets":1,"udp_in_bytes":{c},"udp_in_packets":1,"udp_out_bytes":{d},"udp_out_packets":1}}"#
        )
        .unwrap();
    }
    let sum = Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    writeln!(
        text,
        r#"{{"v":1,"kind":"seal","seq":{seq},{times},"node":"alone","epoch":"boot-1","quality":"late","ports":2,"sha256":"{sum}"}}"#
    )
    .unwrap();
    text
}

/// All points of one undisturbed run.
fn points() -> Vec<Point> {
    let machine = Machine::new();
    let mut points = Vec::new();
    for step in [Step::Rollup, Step::Report] {
        let (status, _) = machine.run_under_strace(step, None);
        assert!(status.success(), "{step:?}: {status:?}");
        let threads = machine.calls();
        let names: BTreeSet<&String> = threads.iter().flat_map(BTreeMap::keys).collect();
        for call in names {
            let of = |thread: &Calls| thread.get(call).cloned().unwrap_or_default();
            let most = threads.iter().map(|thread| of(thread).len()).max().unwrap_or(0);
            for n in 1..=most {
                let can_fail = |thread: &Calls| of(thread).get(n - 1).copied();
                for fault in faults(call) {
                    let is_error = fault.starts_with("error=");
                    if is_error && can_fail(&threads[0]) == Some(false) {
                        continue;
                    }
                    let in_all_threads =
                        !(is_error && threads[1..].iter().any(|thread| can_fail(thread) == Some(false)));
                    points.push(Point { step, call: call.clone(), n, fault, in_all_threads });
                }
            }
        }
    }
    points
}

#[test]
fn whatever_fails_once_on_the_last_mile_what_is_mailed_is_what_was_sealed() {
    if !have_program("strace", "failing system calls") {
        return;
    }
    let all = points();
    let of = |step: Step, call: &str| all.iter().filter(|point| point.step == step && point.call == call).count();
    assert!(of(Step::Rollup, "fsync") > 0 && of(Step::Report, "fsync") > 10 && of(Step::Report, "flock") > 0);
    let is_whole = std::env::var_os("FLOW_AGENT_SWEEP").is_some_and(|value| value == "all");
    let every = if is_whole { 1 } else { all.len().div_ceil(SAMPLE) };
    let chosen: Vec<&Point> = all.iter().step_by(every).collect();
    let (next, hits, unknown) = (Mutex::new(chosen.iter()), Mutex::new(0), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let Some(point) = next.lock().unwrap().next() else { return };
                    let (was_hit, letters) = mended_after(point);
                    *hits.lock().unwrap() += usize::from(was_hit);
                    *unknown.lock().unwrap() += letters;
                }
            });
        }
    });
    let (hits, unknown) = (hits.into_inner().unwrap(), unknown.into_inner().unwrap());
    // Not with a macro such as `eprintln!`, whose output the test harness would capture.
    writeln!(
        std::io::stderr(),
        "last mile: {} of {} injection points were run, {hits} were met, {unknown} letters ended as unknown",
        chosen.len(),
        all.len()
    )
    .unwrap();
    assert!(hits * 2 > chosen.len(), "of {} points only {hits} were met", chosen.len());
}

/// Makes one call fail, runs everything again, and compares the result with what was sealed. Returns whether the fault
/// occurred, and how many letters are unknown.
fn mended_after(point: &Point) -> (bool, usize) {
    let machine = Machine::new();
    if point.step == Step::Report {
        machine.run(Step::Rollup).with_code(0);
    }
    let (status, mut said) = machine.run_under_strace(point.step, Some(point));
    let was_hit = machine.was_hit();
    assert!(!was_hit || status.code() != Some(101), "{point:?}: a panic");
    assert!(status.signal().is_none_or(|signal| signal == 9), "{point:?}: {status:?}");
    let is_error = point.fault.starts_with("error=");
    assert!(!(was_hit && is_error) || status.signal().is_none(), "{point:?}: it did not end");
    if point.step == Step::Rollup {
        // The report does not wait until somebody has repaired the roll-up.
        said += &machine.run(Step::Report).stdout;
    }
    machine.run(Step::Rollup).with_code(0);
    let ended = machine.run(Step::Report);
    assert!(matches!(ended.code, Some(0 | 7)), "{point:?}: {ended:?}");
    said += &ended.stdout;
    // Now there is nothing to do, and nothing to print.
    let before = machine.stub.taken().len();
    let ended = machine.run(Step::Report).with_code(0);
    assert_eq!((ended.stdout.as_str(), machine.stub.taken().len()), ("", before), "{point:?}");

    figures_hold(&machine, point);
    (was_hit, letters_hold(&machine, point, &said))
}

/// Every file between the hours and the statement has the bytes of the hours exactly once.
#[track_caller]
fn figures_hold(machine: &Machine, point: &Point) {
    let (state, month) = (machine.alone.state_dir(), machine.alone.month.name());
    let days = machine.alone.month.days().count();
    for daily in [state.join("daily"), state.join("nodes/alone/daily")] {
        let lines = lines(&daily.join(format!("{month}.jsonl")));
        for (user, port, bytes) in MOVED {
            let of_port: Vec<_> = lines.iter().filter(|line| line["port"] == port).collect();
            assert_eq!(of_port.len(), days, "{point:?} {user}: {}", daily.display());
            assert!(of_port.iter().all(|line| eight(line) == bytes), "{point:?} {user}: {}", daily.display());
        }
    }
    let monthly = lines(&state.join("monthly").join(format!("{}.jsonl", &month[..4])));
    let report = fs::read_to_string(state.join("reports").join(&month).join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    for (user, _, bytes) in MOVED {
        let of_user: Vec<_> = monthly.iter().filter(|line| line["user"] == user).collect();
        let total = bytes.map(|bytes| bytes * days as u64);
        assert!(of_user.len() == 1 && eight(of_user[0]) == total, "{point:?} {user}: {of_user:?}");
        let statements = report["statements"].as_array().unwrap();
        let billed = statements.iter().find(|statement| statement["user"] == user).unwrap()["billed_bytes"].clone();
        assert_eq!(billed, total.iter().sum::<u64>(), "{point:?} {user}");
    }
}

fn eight(line: &Value) -> [u64; 4] {
    ["tcp_in_bytes", "tcp_out_bytes", "udp_in_bytes", "udp_out_bytes"].map(|field| line[field].as_u64().unwrap())
}

/// There is one letter for each line of the mail ledger that says so, none twice, and the last letter to each user has
/// the right figures. Returns how many are unknown.
#[track_caller]
fn letters_hold(machine: &Machine, point: &Point, said: &str) -> usize {
    let days = machine.alone.month.days().count() as u64;
    let mut taken: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for letter in machine.stub.taken() {
        let letter = parsed(&letter.text);
        taken.entry(letter["headers"]["Message-ID"].as_str().unwrap().to_owned()).or_default().push(letter);
    }
    let mut last: BTreeMap<(String, u64), Value> = BTreeMap::new();
    for line in lines(&machine.alone.state_dir().join("sent.jsonl")) {
        let user = line["user"].as_str().unwrap_or("@admins").to_owned();
        last.insert((user, line["rev"].as_u64().unwrap()), line);
    }
    let mut unknown = 0;
    let mut known = BTreeSet::new();
    for ((user, rev), line) in &last {
        let id = line["message_id"].as_str().unwrap();
        known.insert(id.to_owned());
        let letters = taken.get(id).map_or(0, Vec::len);
        match line["state"].as_str().unwrap() {
            "sent" => assert_eq!(letters, 1, "{point:?} {user} revision {rev}"),
            "unknown" => {
                assert!(letters <= 1, "{point:?} {user} revision {rev}");
                assert!(said.contains(&format!("--resend {user}")), "{point:?} {user}: {said}");
                unknown += 1;
            }
            other => panic!("{point:?} {user} revision {rev}: {other}"),
        }
    }
    assert!(taken.keys().all(|id| known.contains(id)), "{point:?}: a letter that the ledger does not know");
    for (user, _, bytes) in MOVED {
        let ((_, rev), line) = last.iter().rfind(|((name, _), _)| name == user).expect("a letter");
        let Some(letters) = taken.get(line["message_id"].as_str().unwrap()) else { continue };
        let figure = format!("{} bytes", thousands(bytes.iter().sum::<u64>() * days));
        let text = letters[0]["text"].as_str().unwrap();
        assert!(text.contains(&figure), "{point:?} {user} revision {rev}: {figure} is not in\n{text}");
        assert!(!text.contains("Provisional"), "{point:?} {user} revision {rev}:\n{text}");
    }
    unknown
}
