//! `users`, `grant` and `notify` over a log with figures known by hand, and with receivers that misbehave.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use flow_agent::ledger::block::HourBlock;
use serde_json::Value;

use crate::common::have_program;
use crate::program::{Said, flow_agent};
use crate::receiver::{Reaction, Receiver};
use crate::stub::{Fault, Stage, Stub};
use crate::tls_front::TlsFront;

/// Part of the receiver's address, which must not appear anywhere.
const TOKEN: &str = "TOKEN-that-nobody-sees";
const SECRET: &str = "SECRET-that-nobody-sees";

/// A node with the user `ada` on port 8388, whose quota is 1,000 bytes.
struct Node {
    directory: tempfile::TempDir,
}

impl Node {
    fn new(more: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("flow-agent-quota").tempdir().unwrap();
        let node = Self { directory };
        fs::create_dir_all(node.path("state/hourly")).unwrap();
        let config = format!(
            "node = \"hk-1\"\ntimezone = \"UTC\"\nstate_dir = \"state\"\n\
             [[users]]\nname = \"ada\"\nports = [8388]\nquota = \"1000 B\"\n{more}"
        );
        fs::write(node.path("config.toml"), config).unwrap();
        node
    }

    /// A node with a channel `hook` for warnings.
    fn with_hook(receiver: &Receiver) -> Self {
        let node = Self::new(
            "[[notify]]\nname = \"hook\"\nkind = \"webhook\"\nurl_file = \"url\"\nsecret_file = \"secret\"\n\
             events = [\"warn\"]\n",
        );
        node.secret("url", &format!("http://127.0.0.1:{}/{TOKEN}?key={TOKEN}\n", receiver.port));
        node.secret("secret", &format!("{SECRET}\n"));
        node
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(0o600)).unwrap();
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let config = self.path("config.toml").display().to_string();
        let all = arguments.iter().map(|argument| (*argument).to_owned());
        all.chain(["--config".to_owned(), config]).collect()
    }

    fn run(&self, arguments: &[&str]) -> Said {
        flow_agent(&self.arguments(arguments))
    }

    /// Adds a recent bucket in which 8388 received `bytes`.
    fn count(&self, seq: u64, bytes: u64) {
        // Two buckets must not overlap, and both must be of today: a test that runs at midnight has a second less.
        let end = Utc::now().trunc_subsecs(0) - TimeDelta::seconds(i64::try_from(10 - seq).unwrap());
        let day_start = end.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
        let start = (end - TimeDelta::seconds(1)).max(day_start);
        self.bucket(seq, start, end, bytes);
    }

    /// Adds a bucket in which 8388 received `bytes`.
    fn bucket(&self, seq: u64, start: DateTime<Utc>, end: DateTime<Utc>, bytes: u64) {
        let show = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%S+00:00").to_string();
        let times = format!(r#""start":"{}","end":"{}""#, show(start), show(end));
        let line = format!(
            r#"{{"v":1,"kind":"hour",{times},"port":8388,"user":"ada","tcp_in_bytes":{bytes},"tcp_in_packets":1,"tcp_out_bytes":0,"tcp_out_packets":0,"udp_in_bytes":0,"udp_in_packets":0,"udp_out_bytes":0,"udp_out_packets":0}}"#
        );
        let seal = format!(
            r#"{{"v":1,"kind":"seal","seq":{seq},{times},"node":"hk-1","epoch":"boot-1","quality":"exact","ports":1,"sha256":""}}"#
        );
        let (line, seal) = (serde_json::from_str(&line).unwrap(), serde_json::from_str(&seal).unwrap());
        let text = HourBlock { lines: vec![line], seal }.encode();
        let file = self.path("state/hourly").join(format!("{}.jsonl", start.date_naive()));
        OpenOptions::new().create(true).append(true).open(file).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The level and state of every step in the ledger of notices.
    fn steps(&self) -> Vec<(u64, String)> {
        let text = fs::read_to_string(self.path("state/notices.jsonl")).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| (line["level"].as_u64().unwrap(), line["state"].as_str().unwrap().to_owned())).collect()
    }

    fn states(&self) -> Vec<String> {
        self.steps().into_iter().map(|(_, state)| state).collect()
    }
}

/// The levels that a receiver was told.
fn levels(receiver: &Receiver) -> Vec<u64> {
    let level = |body: String| serde_json::from_str::<Value>(&body).unwrap()["level"].as_u64().unwrap();
    receiver.requests().into_iter().map(|request| level(request.body)).collect()
}

#[test]
fn a_user_has_a_quota_and_a_grant_raises_it() {
    let node = Node::new("used = \"30 B\"\n[[users]]\nname = \"bob\"\nports = [8389]\n");
    node.count(1, 920);
    let row = |user: &str| {
        let said = node.run(&["users", user, "--json"]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
        serde_json::from_str::<Value>(&said.stdout).unwrap()
    };
    // 920 bytes were counted and 30 were used before: 950 of 1,000.
    let ada = row("ada");
    assert_eq!(ada["used_bytes"], 950);
    assert_eq!((&ada["counted_bytes"], &ada["left_bytes"], &ada["level"]), (&920.into(), &50.into(), &90.into()));
    assert_eq!(ada["state"], "warned");
    let granted = node.run(&["grant", "ada", "500 B"]);
    assert_eq!((granted.code, granted.stderr.as_str()), (Some(0), ""));
    assert!(granted.stdout.contains("ada: 500 B granted for "), "{}", granted.stdout);
    let ada = row("ada");
    assert_eq!((&ada["quota_bytes"], &ada["left_bytes"]), (&1_500.into(), &550.into()));
    assert_eq!((&ada["granted_bytes"], &ada["state"]), (&500.into(), &"open".into()));
    assert_eq!(node.run(&["grant", "ada", "501 B", "--take-back"]).code, Some(2));
    assert_eq!(node.run(&["grant", "ada", "500 B", "--take-back"]).code, Some(0));
    assert_eq!(row("ada")["quota_bytes"], 1_000);
    // A grant for another month has no effect.
    assert_eq!(node.run(&["grant", "ada", "7 GiB", "--month", "2020-01"]).code, Some(0));
    assert_eq!(row("ada")["quota_bytes"], 1_000);
    let bob = row("bob");
    assert_eq!((&bob["quota_bytes"], &bob["left_bytes"], &bob["used_bytes"]), (&Value::Null, &Value::Null, &0.into()));
}

#[test]
fn what_was_used_before_is_divided_as_the_quota_is() {
    let node = Node::new("used = \"50 B\"\nnodes = { \"hk-1\" = \"600 B\", \"us-1\" = \"400 B\" }\n");
    node.count(1, 500);
    // 600 of 1,000 are this node's, and so are 30 of the 50.
    let ada: Value = serde_json::from_str(&node.run(&["users", "--json"]).stdout).unwrap();
    let figures =
        ["quota_bytes", "used_before_bytes", "used_bytes", "left_bytes"].map(|key| ada[key].as_u64().unwrap());
    assert_eq!(figures, [600, 30, 530, 70]);
}

#[test]
fn a_user_whom_only_a_port_file_limits_can_be_shown_and_granted_more() {
    let node = Node::new("[limits]\nport_files = true\n");
    let list =
        r#"{"v":1,"at":"2026-11-01T00:00:00+00:00","ports":{"8400":"eve"},"stated":{"eve":{"quota_bytes":2000}}}"#;
    fs::write(node.path("state/ports.json"), format!("{list}\n")).unwrap();
    let quota = || {
        let said = node.run(&["users", "eve", "--json"]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
        serde_json::from_str::<Value>(&said.stdout).unwrap()["quota_bytes"].as_u64()
    };
    assert_eq!(quota(), Some(2_000));
    let granted = node.run(&["grant", "eve", "500 B"]);
    assert_eq!((granted.code, granted.stderr.as_str()), (Some(0), ""));
    assert_eq!(quota(), Some(2_500));
    assert_eq!(node.run(&["grant", "evil", "500 B"]).code, Some(2));
}

#[test]
fn a_user_who_is_not_there_is_refused_and_the_likely_one_named() {
    let node = Node::new("");
    for arguments in [&["users", "adda"][..], &["grant", "adda", "5 GiB"]] {
        let said = node.run(arguments);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(
            said.stderr.contains("there is no user `adda`") && said.stderr.contains("did you mean `ada`?"),
            "{said:?}"
        );
    }
    assert!(!node.path("state/grants.jsonl").exists());
    assert_eq!(node.run(&["grant", "ada", "0 B"]).code, Some(2));
    assert_eq!(node.run(&["grant", "ada", "5 apples"]).code, Some(2));
}

#[test]
fn of_two_levels_at_once_the_higher_is_sent_once_whatever_is_restarted() {
    let receiver = Receiver::start(&[]);
    let node = Node::with_hook(&receiver);
    node.count(1, 700);
    let quiet = node.run(&["notify"]);
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (Some(0), "", ""));
    // From 70 to 95 percent in one step.
    node.count(2, 250);
    assert_eq!(node.run(&["notify", "--dry-run"]).stdout.lines().count(), 1);
    assert_eq!(levels(&receiver), [] as [u64; 0]);
    for _ in 0..3 {
        assert_eq!(node.run(&["notify"]).code, Some(0));
    }
    assert_eq!(levels(&receiver), [90]);
    node.count(3, 50);
    for _ in 0..2 {
        assert_eq!(node.run(&["notify"]).code, Some(0));
    }
    assert_eq!(levels(&receiver), [90, 100]);
    let states = ["sending", "sent", "sending", "sent"];
    assert_eq!(node.states(), states);
}

#[test]
fn gaps_of_yesterday_are_told_but_not_the_time_before_the_installation() {
    let receiver = Receiver::start(&[]);
    let node = Node::new("[[notify]]\nname = \"hook\"\nkind = \"webhook\"\nurl_file = \"url\"\nevents = [\"gap\"]\n");
    node.secret("url", &format!("http://127.0.0.1:{}/\n", receiver.port));
    let said = || {
        assert_eq!(node.run(&["notify"]).code, Some(0));
        let bodies =
            receiver.requests().into_iter().map(|request| serde_json::from_str::<Value>(&request.body).unwrap());
        bodies.map(|body| (body["day"].as_str().unwrap().to_owned(), body["level"].as_u64())).collect::<Vec<_>>()
    };
    let now = Utc::now().trunc_subsecs(0);
    let midnight = now.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let before = |hours: i64| midnight - TimeDelta::hours(hours);
    // Installed at 14:00 of the day before yesterday.
    node.bucket(1, before(34), before(24), 1);
    assert_eq!(said(), []);
    // Nothing was counted from 12:00 to 12:12 yesterday.
    node.bucket(2, before(24), before(12), 1);
    node.bucket(3, before(12) + TimeDelta::minutes(12), midnight, 1);
    let yesterday = before(24).date_naive().to_string();
    assert_eq!(said(), [(yesterday, Some(10))]);
}

#[test]
fn a_newcomer_is_told_of_no_gap() {
    let receiver = Receiver::start(&[]);
    let node = Node::new("[[notify]]\nname = \"hook\"\nkind = \"webhook\"\nurl_file = \"url\"\nevents = [\"gap\"]\n");
    node.secret("url", &format!("http://127.0.0.1:{}/\n", receiver.port));
    node.count(1, 1);
    assert_eq!(node.run(&["notify"]).code, Some(0));
    assert_eq!(receiver.requests().len(), 0);
}

#[test]
fn a_receiver_over_https_is_trusted_by_its_authority_alone() {
    if !have_program("openssl", "certificates") || !have_program("python3", "TLS before a receiver") {
        return;
    }
    let receiver = Receiver::start(&[]);
    let front = TlsFront::start(receiver.port);
    let node = Node::with_hook(&receiver);
    node.secret("url", &format!("https://localhost:{}/{TOKEN}?key={TOKEN}\n", front.port));
    node.count(1, 950);
    // The receiver's certificate is not trusted, so nothing is sent to it.
    let refused = node.run(&["notify"]);
    assert_ne!(refused.code, Some(0));
    assert!(!refused.stderr.contains(TOKEN) && !refused.stdout.contains(TOKEN), "{refused:?}");
    assert_eq!((receiver.requests().len(), node.states()), (0, vec!["sending".to_owned(), "failed".to_owned()]));
    let config = fs::read_to_string(node.path("config.toml")).unwrap();
    fs::write(node.path("config.toml"), format!("{config}ca_file = {:?}\n", front.authority())).unwrap();
    let sent = node.run(&["notify", "--retry-now"]);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert_eq!((levels(&receiver), node.states().last().map(String::as_str)), (vec![90], Some("sent")));
    let request = &receiver.requests()[0];
    assert!(request.head.starts_with(&format!("POST /{TOKEN}?key={TOKEN} HTTP/1.1")), "{}", request.head);
    assert!(request.header("X-Flow-Agent-Signature").is_some());
}

#[test]
fn a_notice_arrives_whatever_the_receiver_does_first_and_the_ledger_says_what_it_did() {
    for (reaction, state) in [
        (Reaction::Fail, "failed"),
        (Reaction::Drop, "unknown"),
        // This takes the ten seconds that a channel waits.
        (Reaction::Hang, "unknown"),
    ] {
        let receiver = Receiver::start(&[reaction]);
        let node = Node::with_hook(&receiver);
        node.count(1, 850);
        let failed = node.run(&["notify"]);
        assert_eq!(
            (failed.code, node.states()),
            (Some(7), vec!["sending".into(), state.to_owned()]),
            "{reaction:?}: {failed:?}"
        );
        assert!(failed.stderr.contains("warning: channel hook: "), "{failed:?}");
        // Not tried again before a pause, unless that is requested.
        assert_eq!(node.run(&["notify"]).code, Some(0));
        assert_eq!(receiver.requests().len(), 1);
        let check = node.run(&["check", "--json"]);
        let dead =
            check.stdout.lines().any(|line| line.contains("\"notify\"") && line.contains("has accepted nothing since"));
        assert!(dead, "{reaction:?}: {}", check.stdout);
        let again = node.run(&["notify", "--retry-now"]);
        assert_eq!((again.code, again.stdout.as_str()), (Some(0), "1 notice sent\n"), "{reaction:?}: {again:?}");
        assert_eq!(node.states(), ["sending", state, "sending", "sent"]);
        let ids: Vec<_> = receiver.requests().iter().map(|request| request.header("X-Flow-Agent-Notice")).collect();
        assert!(
            ids.len() == 2 && ids[0].is_some() && ids[0] == ids[1],
            "a receiver can tell that it is the same: {ids:?}"
        );
        assert_eq!(node.run(&["notify", "--retry-now"]).stdout, "");
    }
}

#[test]
fn nobody_who_listens_is_a_failure_that_is_certain() {
    let node = {
        let gone = Receiver::start(&[]);
        let node = Node::with_hook(&gone);
        // A port that was free a moment ago, on which nobody listens.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        node.secret("url", &format!("http://127.0.0.1:{free}/{TOKEN}\n"));
        node
    };
    node.count(1, 850);
    let said = node.run(&["notify"]);
    assert_eq!((said.code, node.states()), (Some(7), vec!["sending".to_owned(), "failed".to_owned()]), "{said:?}");
    assert!(!said.stderr.contains(TOKEN), "{said:?}");
}

#[test]
fn a_program_that_is_killed_while_it_sends_says_so_and_sends_again() {
    let receiver = Receiver::start(&[Reaction::Kill]);
    let node = Node::with_hook(&receiver);
    node.count(1, 850);
    let mut command = Command::new(env!("CARGO_BIN_EXE_flow-agent"));
    let mut killed =
        command.args(node.arguments(&["notify"])).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    receiver.aim_at(killed.id());
    assert!(!killed.wait().unwrap().success());
    assert_eq!(node.states(), ["sending"]);
    let again = node.run(&["notify", "--retry-now"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(node.states(), ["sending", "unknown", "sending", "sent"]);
    assert_eq!(levels(&receiver), [80, 80]);
}

#[test]
fn a_notice_survives_a_kill_at_every_write() {
    if !have_program("strace", "kills at chosen system calls") {
        return;
    }
    let mut points = 0;
    for call in ["fdatasync", "fsync", "write"] {
        for when in 1.. {
            let receiver = Receiver::start(&[]);
            let node = Node::with_hook(&receiver);
            node.count(1, 850);
            let mut strace = Command::new("timeout");
            strace.args([
                "--signal=KILL",
                "60",
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &format!("trace={call}"),
            ]);
            strace.args(["-e", &format!("inject={call}:signal=SIGKILL:when={when}")]);
            strace.arg(env!("CARGO_BIN_EXE_flow-agent")).args(node.arguments(&["notify"]));
            let ended = strace.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            let before = node.states();
            let sent_before = before.iter().filter(|state| *state == "sent").count();
            assert!(sent_before <= receiver.requests().len(), "{call} {when}: {before:?}");
            let again = node.run(&["notify", "--retry-now"]);
            assert_eq!(again.code, Some(0), "{call} {when}: {again:?}");
            assert!(!levels(&receiver).is_empty(), "{call} {when}: it never arrived");
            assert_eq!(node.states().last().map(String::as_str), Some("sent"), "{call} {when}");
            if ended.success() {
                break;
            }
            points += 1;
        }
    }
    eprintln!("killed at {points} points");
    assert!(points >= 4, "only {points} points were hit");
}

#[test]
fn secrets_are_in_no_argument_no_environment_no_log_and_no_ledger() {
    let receiver = Receiver::start(&[Reaction::Hang, Reaction::Fail]);
    let node = Node::with_hook(&receiver);
    node.count(1, 850);
    let mut command = Command::new(env!("CARGO_BIN_EXE_flow-agent"));
    command.args(node.arguments(&["notify", "-vv"])).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.spawn().unwrap();
    crate::common::daemon::wait_until("the request is there", std::time::Duration::from_secs(10), || {
        !receiver.requests().is_empty()
    });
    for file in ["cmdline", "environ"] {
        let text = fs::read(format!("/proc/{}/{file}", running.id())).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(!text.contains(TOKEN) && !text.contains(SECRET), "{file}: {text}");
    }
    let output = running.wait_with_output().unwrap();
    let mut seen = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    for said in [
        node.run(&["notify", "--retry-now", "-vv"]),
        node.run(&["check", "-vv"]),
        node.run(&["check", "--send-test", "hook", "-vv"]),
    ] {
        seen += &(said.stdout + &said.stderr);
    }
    seen += &fs::read_to_string(node.path("state/notices.jsonl")).unwrap();
    assert!(seen.contains("channel hook") && !seen.contains(TOKEN) && !seen.contains(SECRET), "{seen}");
}

#[test]
fn a_signature_is_what_openssl_makes_of_the_time_and_the_body() {
    if !have_program("openssl", "signatures that somebody else computed") {
        return;
    }
    let receiver = Receiver::start(&[]);
    let node = Node::with_hook(&receiver);
    node.count(1, 850);
    assert_eq!(node.run(&["notify"]).code, Some(0));
    let request = receiver.requests().remove(0);
    let time = request.header("X-Flow-Agent-Timestamp").unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-hmac", SECRET]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut openssl = openssl.spawn().unwrap();
    openssl.stdin.take().unwrap().write_all(format!("{time}.{}", request.body).as_bytes()).unwrap();
    let digest = String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap();
    let digest = digest.split_whitespace().last().unwrap().to_owned();
    assert_eq!(request.header("X-Flow-Agent-Signature"), Some(format!("sha256={digest}")));
    let age = Utc::now().timestamp() - time.parse::<i64>().unwrap();
    assert!((0..600).contains(&age), "{age} s");
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!((&body["user"], &body["event"], &body["used_bytes"]), (&"ada".into(), &"warn".into(), &850.into()));
}

#[test]
fn a_test_goes_to_the_channel_that_is_named() {
    let receiver = Receiver::start(&[Reaction::Accept, Reaction::Fail]);
    let node = Node::with_hook(&receiver);
    let said = |name: &str| {
        let said = node.run(&["check", "--send-test", name, "--json"]);
        said.stdout.lines().filter(|line| line.contains("\"notify\"")).collect::<Vec<_>>().join("\n")
    };
    assert!(said("hook").contains("127.0.0.1 accepted the test: 200 taken"));
    assert!(said("hook").contains("127.0.0.1: 500 out of order"));
    let unknown = said("hok");
    assert!(unknown.contains("there is no channel `hok`") && unknown.contains("did you mean `hook`?"), "{unknown}");
    assert_eq!(receiver.requests().len(), 2);
    assert!(!node.path("state/notices.jsonl").exists(), "a test is no notice");
}

#[test]
fn a_secret_that_everybody_can_read_is_not_used() {
    let receiver = Receiver::start(&[]);
    let node = Node::with_hook(&receiver);
    node.count(1, 850);
    fs::set_permissions(node.path("secret"), Permissions::from_mode(0o644)).unwrap();
    let said = node.run(&["notify"]);
    assert_eq!(said.code, Some(7), "{said:?}");
    assert!(said.stderr.contains("secret` is readable by everybody"), "{said:?}");
    assert!(receiver.requests().is_empty());
}

/// The subject, language, text and HTML of a letter, as Python's `email` parses it.
fn parts(letter: &str) -> [String; 4] {
    const SCRIPT: &str = "import sys, email, email.policy, json\n\
        m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)\n\
        body = lambda kind: m.get_body((kind,)).get_content()\n\
        print(json.dumps([m['Subject'], m['Content-Language'], body('plain'), body('html')]))";
    let mut python =
        Command::new("python3").args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(letter.as_bytes()).unwrap();
    serde_json::from_slice(&python.wait_with_output().unwrap().stdout).unwrap()
}

/// A node whose notices go by mail: to ada in Chinese, and to the administrators in English.
fn with_mail(stub: &Stub) -> Node {
    let mail = format!(
        "email = \"ada@example.com\"\nlanguage = \"zh\"\n[mail]\nserver = \"smtp+insecure://127.0.0.1:{}\"\n\
         from = \"Flow Agent <report@example.com>\"\nadmins = [\"ops@example.com\"]\n",
        stub.port
    );
    Node::new(&mail)
}

#[test]
fn users_get_letters_in_their_language_and_admins_in_english() {
    if !have_program("python3", "letters as others read them") {
        return;
    }
    let stub = Stub::start(&[]);
    let node = with_mail(&stub);
    node.count(1, 850);
    assert_eq!(node.run(&["notify"]).code, Some(0));
    let letter = |address: &str, about: &str| {
        let taken = stub.taken().into_iter().filter(|letter| letter.to == [address]);
        let letters: Vec<_> =
            taken.map(|letter| parts(&letter.text)).filter(|parts| parts[0].contains(about)).collect();
        assert_eq!(letters.len(), 1, "letters to {address} about {about}: {letters:?}");
        letters[0].clone()
    };
    let [subject, language, text, html] = letter("ada@example.com", "ada");
    assert!(subject.starts_with("ada：已用配额的 80 %"), "{subject}");
    assert_eq!(language, "zh-CN");
    for body in [&text, &html] {
        assert!(body.contains("850 B (85 %)") && body.contains("剩余：") && body.contains("150 B"), "{body}");
    }
    let [subject, language, text, html] = letter("ops@example.com", "ada");
    assert!(subject.starts_with("ada: 80 % of the quota used"), "{subject}");
    assert_eq!(language, "en");
    for body in [&text, &html] {
        assert!(body.contains("850 B (85 %)") && body.contains("Left:") && body.contains("150 B"), "{body}");
    }
    let before = stub.taken().len();
    assert_eq!(node.run(&["notify", "--retry-now"]).code, Some(0));
    assert_eq!(stub.taken().len(), before, "each letter is sent once");
}

#[test]
fn an_administrator_who_is_left_out_of_a_letter_is_an_error_once() {
    let stub = Stub::start(&[]);
    let node = with_mail(&stub);
    let config = fs::read_to_string(node.path("config.toml")).unwrap();
    let admins = "admins = [\"ops@example.com\", \"gone@example.org\"]";
    fs::write(node.path("config.toml"), config.replace("admins = [\"ops@example.com\"]", admins)).unwrap();
    stub.refuse("gone@example.org");
    node.count(1, 850);
    let said = node.run(&["notify"]);
    assert_eq!(said.code, Some(7), "{said:?}");
    assert!(said.stderr.contains("channel admins: sent, but not to example.org: 550"), "{said:?}");
    // What was sent is not sent again, and the ledger says to whom it did not go.
    let lines = fs::read_to_string(node.path("state/notices.jsonl")).unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((&last["channel"], &last["state"]), (&"admins".into(), &"sent".into()));
    assert!(last["reply"].as_str().unwrap().contains("not to example.org: 550"), "{last}");
    assert_eq!(node.run(&["notify", "--retry-now"]).code, Some(0));
    assert_eq!((stub.taken_for("ops@example.com"), stub.taken_for("gone@example.org")), (1, 0));
}

#[test]
fn a_letter_that_may_have_arrived_is_not_sent_again() {
    let stub = Stub::start(&[(Stage::LetterTaken, Fault::Drop)]);
    let node = with_mail(&stub);
    node.count(1, 850);
    let said = node.run(&["notify"]);
    assert_eq!(said.code, Some(7), "{said:?}");
    let first = fs::read_to_string(node.path("state/notices.jsonl")).unwrap();
    let first: Value = serde_json::from_str(first.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&first["channel"], &first["state"]), (&"mail".into(), &"unknown".into()));
    assert_eq!(node.run(&["notify", "--retry-now"]).code, Some(0));
    assert_eq!(stub.taken_for("ada@example.com"), 1);
}
