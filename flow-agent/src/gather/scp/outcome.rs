//! PURE: why scp failed, from its exit status and its error messages.

use std::path::Path;

use crate::gather::error::FetchError;
use crate::ledger::name;
use crate::process::Ended;

/// How much of its error output is passed on, in characters.
const MAX_CHARS: usize = 300;

/// SIGXFSZ: it tried to write beyond the file size limit.
const FILE_SIZE_SIGNAL: i32 = 25;

/// Why it failed; `None` when it succeeded.
pub(super) fn failure(ended: &Ended, source: &Path) -> Option<FetchError> {
    use std::os::unix::process::ExitStatusExt;
    if ended.status.success() {
        return None;
    }
    if ended.status.signal() == Some(FILE_SIZE_SIGNAL) {
        return Some(FetchError::TooLarge);
    }
    let stderr = String::from_utf8_lossy(&ended.stderr);
    Some(if stderr.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        FetchError::HostKeyChanged
    } else if stderr.contains("Host key verification failed") {
        FetchError::HostKeyUnknown
    } else if stderr.contains("Permission denied (") {
        FetchError::KeyRefused { said: in_one_line(&stderr) }
    } else if stderr.contains("File too large") {
        FetchError::TooLarge
    } else if stderr.contains("subsystem request failed") {
        FetchError::NoSftp { said: in_one_line(&stderr) }
    } else if stderr.contains("Received message too long") {
        FetchError::Chatter { said: in_one_line(&stderr) }
    } else if stderr.lines().any(is_absent) {
        FetchError::Absent { path: source.to_owned() }
    } else if stderr.lines().any(is_not_readable) {
        FetchError::NotReadable { said: in_one_line(&stderr) }
    } else if stderr.lines().any(is_unreachable) {
        FetchError::Unreachable { said: in_one_line(&stderr) }
    } else {
        let said = in_one_line(&stderr);
        FetchError::Scp { said: if said.is_empty() { ended.status.to_string() } else { said } }
    })
}

/// `scp: /x: No such file or directory`, `File "/x" not found.` The message for an identity file of ours
/// that is missing looks different.
fn is_absent(line: &str) -> bool {
    let line = line.trim_end();
    line.starts_with("scp: ") && line.ends_with(": No such file or directory")
        || line.starts_with("File \"") && line.ends_with("\" not found.")
}

/// `scp: remote open "/x": Permission denied`, `remote open("/x"): Permission denied`
fn is_not_readable(line: &str) -> bool {
    line.contains("remote open") && line.trim_end().ends_with(": Permission denied")
}

/// `ssh: connect to host 10.0.0.2 port 22: Connection refused`, `ssh: Could not resolve hostname x: …`
fn is_unreachable(line: &str) -> bool {
    line.starts_with("ssh: connect to host ") || line.starts_with("ssh: Could not resolve hostname ")
}

/// The node chooses this text, so nothing in it may move the cursor or reverse the reading direction. The end of a long text is
/// kept, because the error comes last.
fn in_one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join("; ");
    let harmless = |c: char| if name::hidden(c.encode_utf8(&mut [0; 4])).is_some() { '\u{fffd}' } else { c };
    let surplus = line.chars().count().saturating_sub(MAX_CHARS);
    let end = line.chars().skip(surplus).map(harmless);
    if surplus > 0 { std::iter::once('…').chain(end).collect() } else { end.collect() }
}

#[cfg(test)]
mod tests {
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
                Some(
                    "it does not accept our key (flow@10.0.0.2: Permission denied (publickey).; scp: Connection closed)",
                ),
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
                Some(
                    "something there prints a text where SFTP should begin (scp: Received message too long 1466264419)",
                ),
            ),
            (
                exit_1,
                "scp: remote open \"/state/daily/2026-10.jsonl\": Permission denied\n",
                Some("it may not be read there (scp: remote open \"/state/daily/2026-10.jsonl\": Permission denied)"),
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
}
