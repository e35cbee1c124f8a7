//! Reads secrets from files, and keeps them out of messages.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::ChannelError;

/// The largest file that is read.
const MOST_BYTES: u64 = 64 << 10;

/// A part of an address that is at least this long, in bytes, may be secret wherever it is.
const LONG: usize = 6;

/// The first line of a file that only its owner and its group may read.
pub(super) fn first_line(path: &Path) -> Result<String, ChannelError> {
    let text = read(path, true)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// The text of a file. With `is_secret`, a file that everybody may read is rejected.
pub(super) fn read(path: &Path, is_secret: bool) -> Result<String, ChannelError> {
    let failed = |source| ChannelError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Checked on the open file, because the path may lead elsewhere a moment later.
    let mode = file.metadata().map_err(failed)?.mode();
    if is_secret && mode & 0o007 != 0 {
        return Err(ChannelError::Exposed { path: path.to_owned() });
    }
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// An address of which only the host may be shown.
#[derive(Clone)]
pub(super) struct Address {
    url: String,
    /// The part that may be shown; the rest of the address is secret.
    host: String,
    is_tls: bool,
}

impl Address {
    /// Reads the address from its file.
    pub(super) fn read(path: &Path) -> Result<Self, ChannelError> {
        let url = first_line(path)?;
        if url.is_empty() {
            return Err(ChannelError::NoAddress { path: path.to_owned() });
        }
        let not_secure = || ChannelError::NotSecure { path: path.to_owned() };
        let uri: ureq::http::Uri = url.parse().map_err(|_| not_secure())?;
        let host = uri.host().ok_or_else(not_secure)?.to_owned();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_here = bare == "localhost" || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_here => false,
            _ => return Err(not_secure()),
        };
        Ok(Self { url, host, is_tls })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// `text` on one line, without the secret parts of the address, and of a readable length.
    pub(super) fn redact(&self, text: &str) -> String {
        let parts = self.secret_parts();
        let mut shown = String::new();
        let mut rest = text;
        // In one pass, so that a short part is not found in what was written in place of another.
        while let Some(next) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix(&self.url) {
                (shown, rest) = (shown + "(address)", after);
            } else if let Some(after) = parts.iter().find_map(|part| rest.strip_prefix(part)) {
                (shown, rest) = (shown + "(secret)", after);
            } else {
                shown.push(if next.is_control() { ' ' } else { next });
                rest = &rest[next.len_utf8()..];
            }
        }
        let shown: String = shown.chars().take(300).collect();
        shown.trim().to_owned()
    }

    /// The parts that may appear alone, the longest first: any long one, and whatever their length the last segment of
    /// the path (a topic, a token) and the values of the query (a key).
    fn secret_parts(&self) -> Vec<&str> {
        let after_scheme = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let (place, query) = after_scheme.split_once('?').unwrap_or((after_scheme, ""));
        let path = place.split_once('/').map_or("", |(_, path)| path);
        let long = after_scheme.split(['/', '?', '&', '=', ':', '@']).filter(|part| part.len() >= LONG);
        let last = path.split('/').rfind(|segment| !segment.is_empty());
        let values = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
        let parts = long.chain(last).chain(values).filter(|part| !part.is_empty() && *part != self.host);
        let mut parts: Vec<&str> = parts.collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        parts
    }
}

/// Without the address, because the output may end up in a log.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address").field("host", &self.host).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
