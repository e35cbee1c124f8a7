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
mod tests {
    use super::*;

    fn remote() -> Remote {
        Remote {
            host: "203.0.113.7".to_owned(),
            user: Some("flow".to_owned()),
            port: 2222,
            identity_file: Some("/etc/flow-agent/id_ed25519".into()),
            known_hosts: "/etc/flow-agent/known_hosts".into(),
        }
    }

    fn words(remote: &Remote) -> Vec<String> {
        let source = Path::new("/var/lib/flow-agent/daily/2026-10.jsonl");
        let words = scp(remote, source, Path::new("/tmp/new/hk-1.jsonl"));
        words.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn scp_is_told_everything_and_asks_nothing() {
        assert_eq!(
            words(&remote()),
            [
                "-F",
                "/dev/null",
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=yes",
                "-o",
                "GlobalKnownHostsFile=/dev/null",
                "-o",
                "UpdateHostKeys=no",
                "-o",
                "CheckHostIP=no",
                "-o",
                "ConnectTimeout=10",
                "-o",
                "ServerAliveInterval=15",
                "-o",
                "ServerAliveCountMax=3",
                "-o",
                "IdentitiesOnly=yes",
                "-o",
                "ForwardAgent=no",
                "-o",
                "ClearAllForwardings=yes",
                "-o",
                "PermitLocalCommand=no",
                "-o",
                "LogLevel=ERROR",
                "-o",
                "UserKnownHostsFile=\"/etc/flow-agent/known_hosts\"",
                "-i",
                "/etc/flow-agent/id_ed25519",
                "-P",
                "2222",
                "--",
                "flow@203.0.113.7:/var/lib/flow-agent/daily/2026-10.jsonl",
                "/tmp/new/hk-1.jsonl",
            ]
        );
    }

    #[test]
    fn sftp_is_told_the_same_and_has_its_order_in_a_batch() {
        let words: Vec<String> = sftp(&remote()).into_iter().map(|word| word.into_string().unwrap()).collect();
        let same = options(&remote()).len();
        assert!(words[..same].iter().zip(options(&remote())).all(|(word, option)| option == word.as_str()));
        assert_eq!(words[same..], ["-P", "2222", "-b", "-", "--", "flow@203.0.113.7"]);
        let path = Path::new("/srv/a \"b\"/[x]*/daily/2026-10.jsonl");
        assert_eq!(
            batch(path, Path::new("/tmp/new/hk-1.jsonl")),
            "get \"/srv/a \\\"b\\\"/[x]*/daily/2026-10.jsonl\" \"/tmp/new/hk-1.jsonl\"\n"
        );
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        for host in ["2001:db8::7", "[2001:db8::7]"] {
            let remote = Remote { host: host.to_owned(), user: None, ..remote() };
            let words = words(&remote);
            assert_eq!(words[words.len() - 2], "[2001:db8::7]:/var/lib/flow-agent/daily/2026-10.jsonl");
        }
    }

    #[test]
    fn a_path_is_one_path_and_no_pattern() {
        let path = Path::new("/srv/a b/[x]*/daily/2026-10.jsonl");
        assert_eq!(operand(&remote(), path), r"flow@203.0.113.7:/srv/a b/\[x\]\*/daily/2026-10.jsonl");
        assert_eq!(quoted(Path::new("/a b/%d\"")), r#""/a b/%%d\"""#);
    }

    #[test]
    fn whatever_the_host_is_called_it_comes_after_the_dashes() {
        let remote = Remote { host: "-oProxyCommand=touch x".to_owned(), user: None, ..remote() };
        let words = words(&remote);
        let dashes = words.iter().position(|word| word == "--").unwrap();
        let host = words.iter().position(|word| word.contains("ProxyCommand")).unwrap();
        assert!(dashes < host, "{words:?}");
    }
}
