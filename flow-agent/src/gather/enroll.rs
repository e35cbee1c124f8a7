//! Fetches a node's host key, and adds it to the trusted keys after a person has confirmed it.

use std::ffi::OsString;

use super::error::FetchError;
use super::ssh;

/// The host key that a node presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    /// Its line for known_hosts.
    pub line: String,
    /// `256 SHA256:… (ED25519)`
    pub fingerprint: String,
}

/// Fetches the host key of whoever answers at `host`. Nothing proves that this is the node: a person has to compare the
/// key.
///
/// # Errors
/// When nobody answers, or a program is missing.
pub async fn host_key(host: &str, port: u16) -> Result<HostKey, FetchError> {
    let scanned = ssh::run("ssh-keyscan", &scan_arguments(host, port), None).await?;
    let text = String::from_utf8_lossy(&scanned.stdout).into_owned();
    let Some(key) = best_key(&text) else { return Err(FetchError::NoHostKey) };
    let line = format!("{} {key}", pattern(host, port));
    let told = ssh::run("ssh-keygen", &["-l".into(), "-f".into(), "-".into()], Some(&line)).await?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let words: Vec<&str> = told.split_whitespace().collect();
    match words[..] {
        [bits, hash, .., kind] => Ok(HostKey { line, fingerprint: format!("{bits} {hash} {kind}") }),
        _ => Err(FetchError::NoHostKey),
    }
}

/// The text `known` with `line` in the place of the lines for the same host.
pub fn believing(known: &str, line: &str) -> String {
    let pattern = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let whose = pattern(line);
    let others = known.lines().filter(|other| other.starts_with('#') || pattern(other) != whose);
    others.chain([line]).flat_map(|line| [line, "\n"]).collect()
}

fn scan_arguments(host: &str, port: u16) -> Vec<OsString> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    ["-T", "10", "-p", &port.to_string(), "-t", "ed25519,ecdsa,rsa", "--", bare].map(OsString::from).into()
}

/// The name of a host in known_hosts.
fn pattern(host: &str, port: u16) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if port == 22 { bare.to_owned() } else { format!("[{bare}]:{port}") }
}

/// The key of the type that ssh prefers, without the host before it. Comment lines are the server's greeting.
fn best_key(scanned: &str) -> Option<String> {
    let key = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (kind, blob) = (words.next()?, words.next()?);
        let is_plain = blob.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        is_plain.then(|| (kind.to_owned(), format!("{kind} {blob}")))
    };
    let keys: Vec<_> = scanned.lines().filter(|line| !line.starts_with('#')).filter_map(key).collect();
    let kinds = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];
    kinds.iter().find_map(|wanted| keys.iter().find(|(kind, _)| kind == wanted)).map(|(_, key)| key.clone())
}

#[cfg(test)]
mod tests;
