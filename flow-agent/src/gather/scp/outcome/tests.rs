use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::*;

fn said(status: i32, stderr: &str) -> Option<String> {
    let ended = Ended { status: ExitStatus::from_raw(status), stdout: Vec::new(), stderr: stderr.into() };
    failure(&ended, Path::new("/state/daily/2026-10.jsonl")).map(|error| error.to_string())
}

#[test]
fn every_way_to_fail_has_its_own_error() {
    let exit_1 = 1 << 8;
    for (status, stderr, expected) in [
        (0, "whatever it says", None),
        (exit_1, "scp: /x: No such file or directory\r\n", Some("it has no `/state/daily/2026-10.jsonl`")),
        (
            exit_1,
            "Warning: Identity file /x not accessible: No such file or directory.\nscp: Connection closed\r\n",
            Some(
                "scp failed (Warning: Identity file /x not accessible: No such file or directory.; scp: Connection closed)",
            ),
        ),
        (exit_1, "File \"/x\" not found.\r\n", Some("it has no `/state/daily/2026-10.jsonl`")),
        (
            exit_1,
            "@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n",
            Some("its host key is not the one that was enrolled"),
        ),
        (exit_1, "Host key verification failed.\nscp: Connection closed\n", Some("its host key is not known")),
        (
            exit_1,
            "flow@10.0.0.2: Permission denied (publickey).\r\nscp: Connection closed\r\n",
            Some("it does not accept our key (flow@10.0.0.2: Permission denied (publickey).; scp: Connection closed)"),
        ),
        (FILE_SIZE_SIGNAL, "", Some("more than 1073741824 bytes")),
        (exit_1, "", Some("scp failed (exit status: 1)")),
        (
            exit_1,
            "ssh: connect to host 10.0.0.2 port 22: Connection refused\nscp: Connection closed\n",
            Some(
                "it cannot be reached (ssh: connect to host 10.0.0.2 port 22: Connection refused; scp: Connection closed)",
            ),
        ),
        (
            exit_1,
            "subsystem request failed on channel 0\nscp: Connection closed\n",
            Some("its sshd offers no SFTP (subsystem request failed on channel 0; scp: Connection closed)"),
        ),
        (
            exit_1,
            "scp: Received message too long 1466264419\n",
            Some("something there prints text where SFTP should begin (scp: Received message too long 1466264419)"),
        ),
        (
            exit_1,
            "scp: remote open \"/state/daily/2026-10.jsonl\": Permission denied\n",
            Some("no permission to read it there (scp: remote open \"/state/daily/2026-10.jsonl\": Permission denied)"),
        ),
    ] {
        assert_eq!(said(status, stderr).as_deref(), expected, "{stderr}");
    }
}

#[test]
fn what_a_node_writes_is_harmless_to_print() {
    let words = said(1 << 8, &format!("{}\x1b[2Jgone\u{202e}\n", "x".repeat(10_000))).unwrap();
    assert!(words.starts_with("scp failed (…xxx") && words.ends_with("x\u{fffd}[2Jgone\u{fffd})"), "{words}");
    assert_eq!(words.chars().count(), "scp failed (".len() + MAX_CHARS + "…)".chars().count());
}
