//! A new node: its key is shown, confirmed and trusted. Then `check` reaches the node, and the mail server accepts a
//! letter.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::common::daemon::in_netns;
use crate::common::netns::run;
use crate::days::{Month, month_of, moved};
use crate::fleet::{Ended, Fleet, PROGRAM};

fn check(fleet: &Fleet, arguments: &[&str], answer: &str) -> Ended {
    let mut command = in_netns(&fleet.main, PROGRAM);
    command.arg("check").args(arguments).arg("--config").arg(fleet.config());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_node_is_trusted_only_after_a_person_said_so() {
    let Some(mut fleet) = Fleet::with_mail(&["hk-1"]) else { return };
    // The month in progress, which `check` asks for.
    let month = Month { first: chrono::Utc::now().date_naive() };
    let name = month.name();
    let text = month_of("hk-1", &month, &[moved(443, None, [1, 1, 1, 1])]);
    let daily = fleet.node("hk-1").state_dir.join("daily");
    fs::create_dir_all(&daily).unwrap();
    fs::write(daily.join(format!("{name}.jsonl")), text).unwrap();
    fleet.configure("", "");
    fs::remove_file(fleet.known_hosts()).unwrap();

    let said = check(&fleet, &[], "").stdout;
    assert!(said.contains("hk-1: its host key is not known") && said.contains("check --enroll hk-1"), "{said}");

    let shown = check(&fleet, &["--enroll", "hk-1"], "no\n").with_code(6).stdout;
    assert!(!fleet.known_hosts().exists(), "{shown}");
    let host_key = fleet.dir.path().join("sshd-hk-1/host_key.pub");
    let fingerprint = run(Command::new("ssh-keygen").arg("-lf").arg(host_key));
    assert!(shown.contains(fingerprint.split(' ').nth(1).unwrap()), "{shown} {fingerprint}");

    let trusted = check(&fleet, &["--enroll", "hk-1"], "yes\n").with_code(0).stdout;
    assert!(trusted.contains("ForceCommand internal-sftp -R"), "{trusted}");
    let said = check(&fleet, &["--send-test", "ops@example.com"], "").stdout;
    assert!(said.contains(&format!("hk-1: `daily/{name}.jsonl` exists and is intact")), "{said}");
    assert!(said.contains("accepted the letter to ops@example.com"), "{said}");
    assert_eq!(fleet.letters("ops").len(), 1);
    assert!(check(&fleet, &["--enroll", "hk-1"], "").with_code(0).stdout.contains("already trusted"));

    // The node was installed anew, and its new key replaces the old one.
    fleet.replace_last("");
    let before = fs::read_to_string(fleet.known_hosts()).unwrap();
    check(&fleet, &["--enroll", "hk-1"], "yes\n").with_code(0);
    let after = fs::read_to_string(fleet.known_hosts()).unwrap();
    assert_eq!(after.lines().count(), 1);
    assert_ne!(before, after);

    check(&fleet, &["--enroll", "hk-9"], "").with_code(3);
    fleet.silence_last();
    check(&fleet, &["--enroll", "hk-1"], "yes\n").with_code(6);
}
