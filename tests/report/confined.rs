//! The README's section "A main node in production", line by line, with the system's own sshd. The main node's key
//! gives access to the node's daily files, even after a roll-up has replaced them, and to nothing else.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::common::daemon::{Daemon, in_netns, wait_until};
use crate::common::netns::run;
use crate::common::smtpd::listens;
use crate::days::Month;
use crate::fleet::{Ended, Fleet, PROGRAM};

/// The node. Its `/etc` and `/var/lib` are copies that only it sees. `$1` is the state directory that becomes
/// `/var/lib/flow-agent`, and `$2` is the directory of the README's lines.
const NODE: &str = r#"
set -e
mount --make-rprivate /
copy=$2/copy && mkdir "$copy" && mount -t tmpfs tmpfs "$copy" && cp -a /etc "$copy/etc" && mount --bind "$copy/etc" /etc
mount -t tmpfs -o mode=755 tmpfs /var/lib && mkdir -m 750 /var/lib/flow-agent && mount --bind "$1" /var/lib/flow-agent
mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd
ssh-keygen -A >/dev/null
sh -e "$2/node.sh" >"$2/node.log" 2>&1
exec /usr/sbin/sshd -D -E "$2/sshd.log"
"#;

/// The code blocks of the section, in order.
fn readme() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(path).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with("A main node in production")).unwrap();
    section.split("\n```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap().1.to_owned() + "\n").collect()
}

/// Imports a day's legacy log into the node's state directory, as if the agent had counted it.
fn import(fleet: &Fleet, text: &str) {
    let dir = fleet.dir.path();
    let config = dir.join("node.toml");
    let state = &fleet.node("hk-1").state_dir;
    fs::write(&config, format!("node = \"hk-1\"\ntimezone = \"UTC\"\nstate_dir = {state:?}\n")).unwrap();
    fs::write(dir.join("a_daylog.txt"), text).unwrap();
    for arguments in [&["import", dir.join("a_daylog.txt").to_str().unwrap()][..], &["rollup"]] {
        let ended = Command::new(PROGRAM).args(arguments).arg("--config").arg(&config).output().unwrap();
        // The code is 6 if hours are missing.
        assert!(matches!(ended.status.code(), Some(0 | 6)), "{ended:?}");
    }
}

fn flow_agent(fleet: &Fleet, arguments: &[&str], answer: &str) -> Ended {
    let mut command = in_netns(&fleet.main, PROGRAM);
    command.args(arguments).arg("--config").arg(fleet.config());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

/// What the month's report says about the node.
fn node(fleet: &Fleet, month: &str) -> Value {
    let path = fleet.state_dir().join("reports").join(month).join("report.json");
    serde_json::from_str::<Value>(&fs::read_to_string(path).unwrap()).unwrap()["nodes"][0].clone()
}

#[test]
fn the_main_nodes_key_gets_at_the_daily_files_and_at_nothing_else() {
    let Some(mut fleet) = Fleet::make(&["hk-1"]) else { return };
    let blocks = readme();
    let [on_node, on_main] = &blocks[..] else { panic!("two blocks in the README: {blocks:#?}") };
    fleet.silence_last();
    let dir = fleet.dir.path().join("readme");
    fs::create_dir(&dir).unwrap();
    let identity_file = dir.join("id_ed25519");
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&identity_file));
    let enroll = on_node.trim().replace("198.51.100.4", "10.98.1.1");
    let enroll = enroll.replace("id_ed25519.pub", &format!("{}.pub", identity_file.display()));
    let enroll = enroll.replace("flow-agent check", &format!("{PROGRAM} check"));
    // Nothing is changed before somebody agrees, and what is already done is not done again.
    let script = format!(
        "if echo no | {enroll}; then exit 1; else test $? = 6; fi\ntest ! -e /etc/ssh/flow_keys\n\
         {enroll} --yes\n{enroll} --yes | grep 'everything is already in place'\n"
    );
    fs::write(dir.join("node.sh"), script).unwrap();

    let month = Month::last_complete();
    let day = month.first.format("%Y/%m/%d").to_string();
    import(&fleet, &format!("{day}_13:00:01 port:443 100\n"));
    let state = &fleet.node("hk-1").state_dir;
    let mut unshare = in_netns(&fleet.node("hk-1").netns, "unshare");
    unshare.args(["--mount", "--", "sh", "-c", NODE, "node"]).arg(state).arg(&dir).stdin(Stdio::null());
    let mut sshd = Daemon::start(&mut unshare).unwrap();
    wait_until("sshd listens", Duration::from_secs(30), || {
        assert!(!sshd.has_ended(), "{}", fs::read_to_string(dir.join("node.log")).unwrap_or_default());
        listens(&fleet.node("hk-1").netns, 22)
    });

    // The part of the README's lines for the main node that is about the node.
    let nodes = on_main.split("[[users]]").next().unwrap().replace("203.0.113.7", "10.98.1.2");
    let nodes = nodes.replace("/etc/flow-agent/id_ed25519", identity_file.to_str().unwrap());
    let [state_dir, known_hosts] = [fleet.state_dir(), fleet.known_hosts()];
    let config = format!(
        "node = \"main\"\ntimezone = \"UTC\"\nstate_dir = {state_dir:?}\n{nodes}\n[report]\nknown_hosts = {known_hosts:?}\n"
    );
    fs::write(fleet.config(), config).unwrap();
    flow_agent(&fleet, &["check", "--enroll", "hk-1"], "yes\n").with_code(0);

    let report = || flow_agent(&fleet, &["report", "--no-mail", "--month", &month.name()], "").with_code(6);
    report();
    let found = node(&fleet, &month.name());
    assert_eq!((&found["state"], &found["total"]["tcp_out_bytes"]), (&"gathered".into(), &100.into()), "{found:#}");
    // A roll-up replaces the file, and the new one belongs to the group as well.
    import(&fleet, &format!("{day}_15:00:01 port:443 23\n"));
    report();
    assert_eq!(node(&fleet, &month.name())["total"]["tcp_out_bytes"], 123);

    let ask = |program: &str, arguments: &[&str], input: &str| -> Ended {
        let mut command = in_netns(&fleet.main, program);
        let known_hosts = format!("UserKnownHostsFile={}", fleet.known_hosts().display());
        command.args(["-F", "/dev/null", "-o", "BatchMode=yes", "-o", &known_hosts, "-i"]).arg(&identity_file);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    };
    let hourly = format!("{}.jsonl", month.first);
    assert!(state.join("hourly").join(&hourly).exists());
    let daily = format!("/daily/{}.jsonl", month.name());
    for (order, refused) in [
        (format!("get {daily} /dev/null"), false),
        (format!("get /hourly/{hourly} /dev/null"), true),
        ("ls /hourly".to_owned(), true),
        ("get /instance /dev/null".to_owned(), true),
        ("get /etc/passwd /dev/null".to_owned(), true),
        (format!("put {} /daily/x", identity_file.display()), true),
        (format!("rm {daily}"), true),
        (format!("rename {daily} /daily/x"), true),
        (format!("chmod 644 {daily}"), true),
    ] {
        let ended = ask("sftp", &["-b", "-", "flow@10.98.1.2"], &order);
        assert_eq!(ended.code != Some(0), refused, "{order}: {ended:?}");
    }
    let ended = ask("ssh", &["flow@10.98.1.2", "id"], "");
    assert!(ended.code != Some(0) && !ended.stdout.contains("uid="), "{ended:?}");
    let ended = ask("ssh", &["-W", "127.0.0.1:22", "flow@10.98.1.2"], "");
    assert!(!ended.stdout.contains("SSH-2.0"), "{ended:?}");
}

#[test]
fn where_scp_is_old_files_come_by_sftp() {
    let Some(fleet) = Fleet::make(&["hk-1"]) else { return };
    let month = Month::last_complete();
    let moved = [crate::days::moved(443, None, [1, 2, 3, 4])];
    crate::days::put(&fleet.node("hk-1").state_dir, &month, &crate::days::month_of("hk-1", &month, &moved));
    fleet.configure("", "");
    // An ssh that reports an old version, and an scp that must not be called. sftp finds the real ssh in its own way.
    let bin = fleet.dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for (name, text) in [("ssh", "echo OpenSSH_8.4p1 Debian-5 >&2"), ("scp", "echo it was called >&2; exit 1")] {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let report = |month: &str| -> Ended {
        fleet.command(&["--no-mail", "--month", month]).env("PATH", &path).output().unwrap().into()
    };
    report(&month.name()).with_code(0);
    let days = u64::try_from(month.days().count()).unwrap();
    assert_eq!(node(&fleet, &month.name())["total"]["udp_out_bytes"], 4 * days);
    // A month that the node does not have is missing, which is not an error of sftp.
    let said = report("2020-01").with_code(6).stdout;
    assert!(said.contains("it has no `"), "{said}");
}
