//! PURE: the arguments of scp and sftp.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A node as ssh reaches it. No part begins with a dash; the configuration refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    pub host: String,
    /// `None`: the default of ssh.
    pub user: Option<String>,
    pub port: u16,
    pub identity_file: Option<PathBuf>,
    /// The only host keys that are trusted.
    pub known_hosts: PathBuf,
}

/// Fetches the one file `source` to the new file `target`: no recursion, no globs, no configuration of whoever runs it.
pub(super) fn scp(remote: &Remote, source: &Path, target: &Path) -> Vec<OsString> {
    // Not `-q`: it would suppress the reason for a failure.
    let mut arguments = options(remote);
    arguments.push("-P".into());
    arguments.push(remote.port.to_string().into());
    arguments.push("--".into());
    arguments.push(operand(remote, source));
    // An absolute path: no colon in it can make it a host.
    arguments.push(target.into());
    arguments
}

/// Does what [`batch`] says, which comes on its standard input, and ends at the first thing that fails.
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
    // In quotation marks nothing is a pattern to it but what stands after a backslash.
    let quoted = |path: &Path| {
        let text = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{text}\"")
    };
    format!("get {} {}\n", quoted(source), quoted(target))
}

/// Options of ssh itself: never ask, trust only enrolled host keys, offer only the configured key, do not wait forever.
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

/// ssh splits this option's value at spaces, and replaces what follows a percent sign.
fn quoted(path: &Path) -> OsString {
    let text = path.to_string_lossy().replace('%', "%%").replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"").into()
}

/// `user@host`; an IPv6 address in brackets.
fn destination(remote: &Remote) -> String {
    let host = match remote.host.strip_prefix('[') {
        None if remote.host.contains(':') => format!("[{}]", remote.host),
        Some(_) | None => remote.host.clone(),
    };
    let user = remote.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    format!("{user}{host}")
}

/// `user@host:path`; what is a pattern to sftp is escaped.
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
