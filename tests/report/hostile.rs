//! A node that somebody else controls. What it sends is never imported or executed, costs little memory and no more
//! than the allowed time, does not affect the report on other nodes, and is named.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::daemon::{Daemon, in_netns, wait_until};
use crate::common::smtpd::listens;
use crate::days::{Month, line, month_of, moved, put, sealed, sealed_with};
use crate::fleet::{Fleet, parsed};

/// A good node and an evil one, and the limits of a report on them.
struct Siege {
    fleet: Fleet,
    month: Month,
    deadline: Duration,
    /// The maximum memory of a report.
    most_kib: u64,
}

const GOOD_BYTES: u64 = 4_321;

/// How much more memory a debug build takes than a release build for its code. Part of it shows in `--version`; the
/// rest is code that a report needs.
const DEBUG_KIB: u64 = 32 << 10;

impl Siege {
    fn begin() -> Option<Self> {
        let fleet = Fleet::make(&["good", "evil"])?;
        let month = Month::last_complete();
        let moved = [moved(443, None, [1, 20, 300, 4_000])];
        put(&fleet.node("good").state_dir, &month, &month_of("good", &month, &moved));
        configure(&fleet, "deadline = \"4s\"");
        fs::create_dir_all(fleet.node("evil").state_dir.join("daily")).unwrap();
        // Most of it is what a debug build and its threads take anyway.
        Some(Self { fleet, month, deadline: Duration::from_secs(4), most_kib: 64 << 10 })
    }

    /// The daily file of the evil node.
    fn file(&self) -> PathBuf {
        self.fleet.node("evil").state_dir.join("daily").join(format!("{}.jsonl", self.month.name()))
    }

    /// The directory of the month's report.
    fn reports(&self) -> PathBuf {
        self.fleet.state_dir().join("reports").join(self.month.name())
    }

    /// Makes a report, and asserts that nothing of the evil node was used. Returns the reason that the report gives.
    #[track_caller]
    fn repelled(&self, what: &str) -> String {
        let began = Instant::now();
        // Nothing that was there before may be overwritten or be part of the result, so begin with an empty directory.
        let _ = fs::remove_dir_all(self.fleet.state_dir());
        let command = self.fleet.command(&["--no-mail", "--month", &self.month.name()]);
        let (ended, kib) = with_memory(&command);
        assert_eq!(ended.0, Some(6), "{what}: {}", ended.1);
        assert!(kib < self.most_kib, "{what} took {kib} KiB");
        // The time limit of a node, and an allowance for everything else on a busy machine.
        assert!(began.elapsed() < self.deadline + Duration::from_secs(30), "{what} took {:?}", began.elapsed());
        let report: Value =
            serde_json::from_str(&fs::read_to_string(self.reports().join("report.json")).unwrap()).unwrap();
        let node = |name: &str| report["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap();
        let days = u64::try_from(self.month.days().count()).unwrap();
        assert_eq!(node("good")["total"]["tcp_in_bytes"], days, "{what}");
        assert_eq!(report["statements"][0]["billed_bytes"], days * GOOD_BYTES, "{what}");
        assert_eq!(report["statements"].as_array().unwrap().len(), 1, "{what}: {report:#}");
        assert_eq!((&node("good")["state"], &node("evil")["state"]), (&"gathered".into(), &"missing".into()), "{what}");
        let kept = fs::read_dir(self.fleet.state_dir().join("nodes")).unwrap();
        let kept: Vec<_> = kept.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(kept, ["good"], "{what}");
        let why = node("evil")["why"].as_str().unwrap().to_owned();
        assert!(ended.1.contains(&format!("node evil: {why}")), "{what}: {}", ended.1);
        let letter = parsed(&fs::read_to_string(self.reports().join("summary.eml")).unwrap());
        assert!(letter["headers"]["Subject"].as_str().unwrap().contains("INCOMPLETE"), "{what}");
        let text = letter["text"].as_str().unwrap();
        // A letter contains the first 200 characters of it.
        let start: String = why.chars().take(200).collect();
        assert!(text.contains("evil, missing") && text.contains(start.trim_end()), "{what}: {start}\n{text}");
        why
    }
}

/// Configures an administrator, whose letter is written but not sent, because there is no mail server.
fn configure(fleet: &Fleet, report: &str) {
    let mail = "[mail]\nserver = \"smtp+insecure://127.0.0.1:1\"\nfrom = \"report@example.com\"\n\
                admins = [\"ops@example.com\"]\n";
    fleet.configure("", &format!("{report}\n{mail}"));
}

/// Runs it, and asks Python for the maximum memory of the program and its children, in KiB.
fn with_memory(command: &Command) -> ((Option<i32>, String), u64) {
    const SCRIPT: &str = "
import resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True)
print(ended.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.stdout.flush()
sys.stdout.buffer.write(ended.stdout + ended.stderr)
";
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT]).arg(command.get_program()).args(command.get_args());
    let output = python.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (first, said) = text.split_once('\n').unwrap();
    let (code, kib) = first.split_once(' ').unwrap();
    ((code.parse().ok(), said.to_owned()), kib.parse().unwrap())
}

#[test]
fn a_file_that_is_not_whole_is_never_imported() {
    let Some(siege) = Siege::begin() else { return };
    let month = &siege.month;
    let day = month.first;
    let moved_bytes = [moved(443, None, [5, 6, 7, 8]), moved(80, Some("mallory"), [9, 9, 9, 9])];
    let lines: Vec<String> = moved_bytes.iter().map(|moved| line(day, moved)).collect();
    let whole = month_of("evil", month, &moved_bytes);
    let replaced = |from: &str, to: &str| {
        let lines: Vec<String> = lines.iter().map(|line| line.replace(from, to)).collect();
        sealed("evil", day, &lines)
    };
    let next = day.succ_opt().unwrap();
    let flipped = {
        let mut bytes = whole.clone().into_bytes();
        let digit = whole.find("tcp_in_bytes\":").unwrap() + "tcp_in_bytes\":".len();
        bytes[digit] ^= 1;
        String::from_utf8(bytes).unwrap()
    };
    for (what, text, why) in [
        ("an empty file", String::new(), "it is empty"),
        ("a truncated file", whole[..whole.len() - 200].to_owned(), "cut off"),
        ("a file cut at a line", whole.lines().take(4).map(|line| format!("{line}\n")).collect(), "without a seal"),
        ("a flipped byte", flipped, "the lines do not match the seal's sha256"),
        ("another node's file", month_of("good", month, &moved_bytes), "it says that it is from node \"good\""),
        ("2^64", replaced("\"tcp_in_bytes\":5", "\"tcp_in_bytes\":18446744073709551616"), "out of range"),
        ("-1", replaced("\"tcp_in_bytes\":5", "\"tcp_in_bytes\":-1"), "out of range"),
        ("1e30", replaced("\"tcp_in_bytes\":5", "\"tcp_in_bytes\":1e30"), "out of range"),
        ("2^64 - 1", replaced("\"tcp_in_bytes\":5", "\"tcp_in_bytes\":18446744073709551615"), "more than any host can"),
        ("port 70000", replaced("\"port\":443", "\"port\":70000"), "out of range"),
        ("a name that turns the text", replaced("mallory", "mal\u{202e}lory"), "U+202E"),
        ("a name with an escape", replaced("mallory", "mal\\u001b[2Jlory"), "U+001B"),
        ("a name of 1,000 bytes", replaced("mallory", &"m".repeat(1_000)), "1000 bytes"),
        ("another version", replaced("\"v\":1", "\"v\":2"), "version 2"),
        ("a day twice", format!("{0}{0}", sealed("evil", day, &lines)), "comes after"),
        ("days in disorder", sealed("evil", next, &[]) + &sealed("evil", day, &[]), "comes after"),
        ("a day of another month", sealed("evil", day.pred_opt().unwrap(), &[]), "is not a day of this file"),
        ("more seconds than a day has", sealed_with("evil", day, &lines, 90_000, "UTC"), "contradicts itself"),
        ("not JSON", "<html>502 Bad Gateway</html>\n".to_owned(), "not JSON"),
        ("binary", String::from_utf8_lossy(&[0, 159, 146, 150, 10, 0, 255]).into_owned(), "not JSON"),
    ] {
        fs::write(siege.file(), text).unwrap();
        let said = siege.repelled(what);
        assert!(said.contains(why) && said.contains(&month.name()), "{what}: {said}");
    }
    // The same node is accepted with a whole file, so it was the file that was rejected.
    fs::write(siege.file(), whole).unwrap();
    siege.fleet.report(&["--no-mail", "--month", &month.name()]).with_code(0);
}

#[test]
fn a_name_that_is_a_path_a_formula_or_a_page_is_a_name() {
    let Some(siege) = Siege::begin() else { return };
    let month = &siege.month;
    let names = ["../../../../etc/cron.d/x", "=cmd|'/C calc'!A0", "<img src=x onerror=alert(1)>", "{{ 7 * 7 }}"];
    let moves: Vec<_> = (1_000..).zip(names).map(|(port, name)| moved(port, Some(name), [1, 0, 0, 0])).collect();
    fs::write(siege.file(), month_of("evil", month, &moves)).unwrap();
    siege.fleet.report(&["--no-mail", "--month", &month.name()]).with_code(0);

    let names_in = |dir: &Path| {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let figures = format!("flow-agent-{}.csv", siege.month.name());
    assert_eq!(names_in(&siege.reports()), [figures.as_str(), "report.html", "report.json", "summary.eml"]);
    assert_eq!(names_in(&siege.fleet.state_dir()), ["monthly", "nodes", "report.lock", "reports"]);
    let page = fs::read_to_string(siege.reports().join("report.html")).unwrap();
    let letter = parsed(&fs::read_to_string(siege.reports().join("summary.eml")).unwrap());
    for html in [&page, letter["html"].as_str().unwrap()] {
        assert!(!html.contains("<img") && html.contains("&lt;img") && !html.contains(">evil/49"), "{html}");
    }
    for name in names {
        assert!(letter["text"].as_str().unwrap().contains(&format!("evil/{name}")), "{name}");
    }
    let csv = letter["attachments"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
    assert!(csv.lines().all(|line| line.split(',').all(|field| !field.starts_with(['=', '+', '-', '@']))), "{csv}");
}

#[test]
fn what_is_no_file_is_never_followed() {
    let Some(siege) = Siege::begin() else { return };
    let secret = siege.fleet.dir.path().join("secret");
    fs::write(&secret, "root:$6$salt$hash\n").unwrap();
    symlink(&secret, siege.file()).unwrap();
    let said = siege.repelled("a symlink to a secret");
    assert!(!said.contains("salt"), "{said}");

    fs::remove_file(siege.file()).unwrap();
    symlink("/dev/zero", siege.file()).unwrap();
    siege.repelled("a symlink to an endless device");

    fs::remove_file(siege.file()).unwrap();
    assert!(Command::new("mkfifo").arg(siege.file()).status().unwrap().success());
    siege.repelled("a FIFO that nobody writes to");

    fs::remove_file(siege.file()).unwrap();
    fs::create_dir(siege.file()).unwrap();
    fs::write(siege.file().join("x"), "x").unwrap();
    siege.repelled("a directory");
}

#[test]
fn a_file_without_end_is_bounded() {
    let Some(mut siege) = Siege::begin() else { return };
    siege.deadline = Duration::from_secs(300);
    configure(&siege.fleet, "deadline = \"5m\"");
    // Sparse files: a line of a billion bytes, and a file above the limit.
    for (what, bytes, why) in
        [("a line of 1 GB", 1_000_000_000, "more than"), ("2 GiB", 2 << 30, "more than 1073741824")]
    {
        fs::File::create(siege.file()).unwrap().set_len(bytes).unwrap();
        let said = siege.repelled(what);
        assert!(said.contains(why), "{what}: {said}");
        fs::remove_file(siege.file()).unwrap();
    }
}

/// A day on which `users` users move a byte each, on one port after the other.
fn crowded(day: chrono::NaiveDate, users: u32, name: impl Fn(u32) -> String) -> String {
    let line = |number: u32| {
        let port = 1 + number % 65_535;
        format!(
            "{{\"v\":1,\"kind\":\"day\",\"day\":\"{day}\",\"port\":{port},\"user\":\"{}\",\"tcp_in_bytes\":1,\
             \"tcp_in_packets\":1,\"tcp_out_bytes\":0,\"tcp_out_packets\":0,\"udp_in_bytes\":0,\"udp_in_packets\":0,\
             \"udp_out_bytes\":0,\"udp_out_packets\":0}}",
            name(number)
        )
    };
    sealed("evil", day, &(0..users).map(line).collect::<Vec<_>>())
}

#[test]
fn a_node_that_names_more_users_than_it_has_ports_is_left_out_and_the_others_month_stands() {
    let Some(mut siege) = Siege::begin() else { return };
    siege.deadline = Duration::from_secs(300);
    siege.most_kib = (256 << 10) + DEBUG_KIB;
    configure(&siege.fleet, "deadline = \"5m\"");
    let first = siege.month.first;
    fs::write(siege.file(), crowded(first, 130_000, |number| format!("u{number}"))).unwrap();
    let said = siege.repelled("130,000 users on one day");
    assert!(said.contains("more than 65536 different pairs of a port and a user"), "{said}");

    // The same over two days, neither of which alone exceeds the limit.
    let second = first.succ_opt().unwrap();
    let two =
        crowded(first, 60_000, |number| format!("u{number}")) + &crowded(second, 60_000, |number| format!("v{number}"));
    fs::write(siege.file(), two).unwrap();
    let said = siege.repelled("120,000 users on two days");
    assert!(said.contains(&format!("{second}: with this day it has more than 65536")), "{said}");
}

#[test]
fn a_node_that_names_as_many_users_as_it_may_is_reported_in_bounded_memory_each_time() {
    let Some(siege) = Siege::begin() else { return };
    configure(&siege.fleet, "deadline = \"5m\"");
    // 65,536 pairs, with names of the maximum length.
    let name = |number: u32| format!("{number:0>128}");
    fs::write(siege.file(), crowded(siege.month.first, 65_536, name)).unwrap();
    for run in ["the first time", "over the report of the first time"] {
        let command = siege.fleet.command(&["--no-mail", "--month", &siege.month.name()]);
        let (ended, kib) = with_memory(&command);
        assert_eq!(ended.0, Some(6), "{run}: {}", ended.1);
        assert!(kib < (256 << 10) + DEBUG_KIB, "{run}: {kib} KiB");
    }
    let year = &siege.month.name()[..4];
    let monthly = fs::read_to_string(siege.fleet.state_dir().join("monthly").join(format!("{year}.jsonl"))).unwrap();
    assert_eq!(monthly.lines().count(), 65_536 + 1 + 1);
    let state_dir = siege.fleet.state_dir();
    let mut show = Command::new(crate::fleet::PROGRAM);
    show.args(["show", "months", "--csv", "--from", &siege.month.name(), "--state-dir"]).arg(state_dir);
    let (ended, kib) = with_memory(&show);
    assert_eq!((ended.0, ended.1.lines().count()), (Some(0), 1 + 65_536 + 1), "show reads what report wrote");
    assert!(kib < (256 << 10) + DEBUG_KIB, "show: {kib} KiB");
}

#[test]
fn a_node_that_stalls_is_given_up() {
    let Some(mut siege) = Siege::begin() else { return };
    let month = &siege.month;
    let many: Vec<_> = (1..500).map(|port| moved(port, None, [1, 1, 1, 1])).collect();
    fs::write(siege.file(), month_of("evil", month, &many)).unwrap();
    // 64 KiB of the conversation pass, and then nothing more.
    siege.fleet.replace_last("ForceCommand /usr/lib/openssh/sftp-server | (head -c 65536; exec sleep 1000)");
    configure(&siege.fleet, "deadline = \"4s\"");
    let said = siege.repelled("a stall in the middle of the file");
    assert_eq!(said, "it took longer than 4s");

    // Accepts the login and sends nothing.
    siege.fleet.replace_last("ForceCommand sleep 1000");
    configure(&siege.fleet, "deadline = \"4s\"");
    assert_eq!(siege.repelled("silence after the login"), "it took longer than 4s");

    // Accepts the connection and sends nothing, not even its banner.
    siege.fleet.silence_last();
    let node = siege.fleet.nodes.last().unwrap();
    let listen = format!(
        "import socket, time\ns = socket.create_server(({:?}, 22))\nc = s.accept()\ntime.sleep(1000)\n",
        node.address
    );
    let mut command = in_netns(&node.netns, "python3");
    let _silent = Daemon::start(command.args(["-c", &listen])).unwrap();
    wait_until("somebody listens", Duration::from_secs(10), || listens(&node.netns, 22));
    assert_eq!(siege.repelled("silence before the banner"), "it took longer than 4s");
    assert!(no_scp_is_left(siege.fleet.dir.path()), "a scp that was given up still runs");
}

#[test]
fn a_local_disk_that_hangs_keeps_no_other_node_waiting() {
    let Some(mut siege) = Siege::begin() else { return };
    let month = siege.month.name();
    // A third node, which is this machine, and every read of which takes five minutes.
    let local = siege.fleet.dir.path().join("node-local");
    put(&local, &siege.month, &month_of("local", &siege.month, &[moved(80, None, [1, 1, 1, 1])]));
    siege.fleet.replace_last("ForceCommand sleep 1000");
    configure(&siege.fleet, "deadline = \"4s\"");
    let config = siege.fleet.config();
    let nodes = format!("[[nodes]]\nname = \"local\"\nlocal = true\nstate_dir = {local:?}\n");
    let text = fs::read_to_string(&config).unwrap().replacen("[report]", &(nodes + "[report]"), 1);
    fs::write(&config, text).unwrap();
    let command = siege.fleet.command(&["--no-mail", "--month", &month]);
    let file = local.join("daily").join(format!("{month}.jsonl"));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e", "inject=read,copy_file_range,sendfile:delay_enter=300000000", "-P"]);
    strace.arg(file).arg(command.get_program()).args(command.get_args());
    let said = siege.fleet.dir.path().join("said");
    strace.stdin(Stdio::null()).stdout(fs::File::create(&said).unwrap());
    // strace itself waits until the delay is over, so do not wait for it.
    let _strace = Daemon::start(&mut strace).unwrap();
    let text = || fs::read_to_string(&said).unwrap();
    wait_until("the report is there", Duration::from_secs(120), || text().contains("! node local: "));
    let text = text();
    for node in ["evil", "local"] {
        assert!(text.contains(&format!("! node {node}: it took longer than 4s;")), "{node}: {text}");
    }
    assert!(text.lines().any(|line| line.contains(" good ") && line.ends_with("gathered")), "{text}");
}

/// Whether no process that this test started is still fetching.
fn no_scp_is_left(dir: &Path) -> bool {
    let dir = dir.to_str().unwrap();
    let is_ours = |pid: &str| {
        let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&command_line).replace('\0', " ");
        (words.starts_with("scp ") || words.contains("/ssh ") || words.starts_with("ssh ")) && words.contains(dir)
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let pids = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        if !pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit())).any(|pid| is_ours(&pid)) {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_node_that_is_not_who_it_was_is_not_trusted() {
    let Some(mut siege) = Siege::begin() else { return };
    fs::write(siege.file(), month_of("evil", &siege.month, &[moved(443, None, [1, 1, 1, 1])])).unwrap();
    let before = fs::read_to_string(siege.fleet.known_hosts()).unwrap();
    siege.fleet.replace_last("");
    configure(&siege.fleet, "");
    fs::write(siege.fleet.known_hosts(), &before).unwrap();
    assert_eq!(siege.repelled("another host key"), "its host key is not the one that was enrolled");

    let good = before.lines().next().unwrap();
    fs::write(siege.fleet.known_hosts(), format!("{good}\n")).unwrap();
    assert_eq!(siege.repelled("an unknown host key"), "its host key is not known");

    siege.fleet.replace_last("DenyUsers root");
    configure(&siege.fleet, "");
    assert!(siege.repelled("a refused key").starts_with("it does not accept our key"));

    siege.fleet.silence_last();
    assert!(siege.repelled("nobody there").contains("Connection refused"));

    // The old protocol, in which the node says which files are written.
    let outside = siege.fleet.dir.path().join("outside");
    let up = "../".repeat(20);
    let old = format!("printf 'C0644 6 {up}{0}\\nhello\\n\\000'; sleep 1", &outside.to_str().unwrap()[1..]);
    siege.fleet.replace_last(&format!("ForceCommand {old}"));
    configure(&siege.fleet, "deadline = \"4s\"");
    siege.repelled("the old protocol");
    assert!(!outside.exists());

    // What it prints before the login becomes one harmless line.
    let shout = "printf '\\033[2J\\r\\n%s\\n' \"$(head -c 100000 /dev/zero | tr '\\0' x)\" >&2; exit 1";
    siege.fleet.replace_last(&format!("ForceCommand {shout}"));
    configure(&siege.fleet, "");
    let said = siege.repelled("shouting");
    assert!(said.len() < 1_000 && !said.contains('\u{1b}'), "{said}");
}
