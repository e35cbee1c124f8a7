//! PURE: why scp failed, from its exit status and its error messages.

use std::path::Path;

use crate::gather::error::FetchError;
use crate::ledger::name;
use crate::process::Ended;

/// How many characters of its error output are kept.
const MAX_CHARS: usize = 300;

/// SIGXFSZ: it tried to exceed the limit on the size of files.
const FILE_SIZE_SIGNAL: i32 = 25;

/// Why it failed; `None` if it succeeded.
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

/// Makes a text that the node chooses safe to print: nothing in it may move the cursor or reverse the writing
/// direction. Of a long text the end is kept, because the error comes last.
fn in_one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join("; ");
    let harmless = |c: char| if name::hidden(c.encode_utf8(&mut [0; 4])).is_some() { '\u{fffd}' } else { c };
    let surplus = line.chars().count().saturating_sub(MAX_CHARS);
    let end = line.chars().skip(surplus).map(harmless);
    if surplus > 0 { std::iter::once('…').chain(end).collect() } else { end.collect() }
}

#[cfg(test)]
mod tests;
