//! PURE: the arguments of scp and sftp.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How ssh reaches a node. No part begins with a dash, because the configuration rejects that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    pub host: String,
    /// `None` means the default of ssh.
    pub user: Option<String>,
    pub port: u16,
    pub identity_file: Option<PathBuf>,
    /// The only host keys that are trusted.
    pub known_hosts: PathBuf,
}

/// Fetches the single file `source` to the new file `target`, without recursion, patterns, or the user's own
/// configuration.
pub(super) fn scp(remote: &Remote, source: &Path, target: &Path) -> Vec<OsString> {
    // Not `-q`: it would suppress the reason for a failure.
    let mut arguments = options(remote);
    arguments.push("-P".into());
    arguments.push(remote.port.to_string().into());
    arguments.push("--".into());
    arguments.push(operand(remote, source));
    // The path is absolute, so a colon in it cannot make it look like a host.
    arguments.push(target.into());
    arguments
}

/// Executes the commands of [`batch`] from its standard input, and stops at the first failure.
pub(super) fn sftp(remote: &Remote) -> Vec<OsString> {
    let mut arguments = options(remote);
    for argument in ["-P", &remote.port.to_string(), "-b", "-", "--"] {
        arguments.push(argument.into());
    }
    arguments.push(destination(remote).into());
    arguments
}

/// The one line of sftp's batch: fetches the file `source` to the new file `target`.
pub(super) fn batch(source: &Path, target: &Path) -> String {
    // Within quotation marks, sftp only treats a backslash specially.
    let quoted = |path: &Path| {
        let text = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{text}\"")
    };
    format!("get {} {}\n", quoted(source), quoted(target))
}

/// Options for ssh itself: never prompt, trust only enrolled host keys, offer only the configured key, and do not wait
/// forever.
fn options(remote: &Remote) -> Vec<OsString> {
    let mut options: Vec<OsString> = vec!["-F".into(), "/dev/null".into()];
    let mut known_hosts = OsString::from("UserKnownHostsFile=");
    known_hosts.push(quoted(&remote.known_hosts));
    let set = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        "CheckHostIP=no",
        "ConnectTimeout=10",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=3",
        "IdentitiesOnly=yes",
        "ForwardAgent=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "LogLevel=ERROR",
    ];
    for option in set.into_iter().map(OsString::from).chain([known_hosts]) {
        options.push("-o".into());
        options.push(option);
    }
    if let Some(identity_file) = &remote.identity_file {
        options.push("-i".into());
        options.push(identity_file.into());
    }
    options
}

/// Quotes a path for an option whose value ssh splits at spaces and in which it expands percent signs.
fn quoted(path: &Path) -> OsString {
    let text = path.to_string_lossy().replace('%', "%%").replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"").into()
}

/// `user@host`, with an IPv6 address in brackets.
fn destination(remote: &Remote) -> String {
    let host = match remote.host.strip_prefix('[') {
        None if remote.host.contains(':') => format!("[{}]", remote.host),
        Some(_) | None => remote.host.clone(),
    };
    let user = remote.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    format!("{user}{host}")
}

/// `user@host:path`, with sftp's pattern characters escaped.
fn operand(remote: &Remote, path: &Path) -> OsString {
    let mut exact = String::new();
    for c in path.to_string_lossy().chars() {
        if "*?[]{}\\".contains(c) {
            exact.push('\\');
        }
        exact.push(c);
    }
    format!("{}:{exact}", destination(remote)).into()
}

#[cfg(test)]
mod tests;
