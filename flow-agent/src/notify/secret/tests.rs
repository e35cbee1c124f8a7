use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn address(text: &str, mode: u32) -> Result<Address, ChannelError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("url");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    Address::read(&path)
}

#[test]
fn an_address_is_read_and_not_shown() {
    let address = address("https://api.example.com/bot12345:SECRET-token/send?chat_id=987654\n", 0o640).unwrap();
    assert_eq!(address.host(), "api.example.com");
    let shown = address.redact("404 for /bot12345:SECRET-token/send?chat_id=987654\nnot found\u{1b}[31m");
    assert!(!shown.contains("SECRET") && !shown.contains("987654") && !shown.contains('\u{1b}'), "{shown}");
    assert!(!format!("{address:?}").contains("SECRET"));
}

#[test]
fn a_short_secret_is_as_secret_as_a_long_one() {
    let address = |text: &str| address(text, 0o600).unwrap();
    let topic = address("https://ntfy.sh/abc/");
    assert_eq!(topic.redact("404 topic abc/ at ntfy.sh: ab"), "404 topic (secret)/ at ntfy.sh: ab");
    let keys = address("https://example.com/hook/x1?key=s&id=s3cr&flag");
    // The longest part goes first, and what stands in place of a part is not searched for another.
    assert_eq!(keys.redact("s3cr, s: x1 (flag) key"), "(secret), (secret): (secret) ((secret)) key");
    // Without a path and a query, nothing is secret.
    assert_eq!(address("https://example.com/").redact("a / b"), "a / b");
    assert_eq!(address("https://example.com?").redact("a ? b"), "a ? b");
}

#[test]
fn an_address_that_others_can_read_or_overhear_is_refused() {
    assert!(matches!(address("https://example.com/x", 0o644), Err(ChannelError::Exposed { .. })));
    assert!(matches!(address("http://example.com/x", 0o600), Err(ChannelError::NotSecure { .. })));
    assert!(matches!(address("ftp://example.com/x", 0o600), Err(ChannelError::NotSecure { .. })));
    assert!(matches!(address("example.com/x", 0o600), Err(ChannelError::NotSecure { .. })));
    assert!(matches!(address("\n", 0o600), Err(ChannelError::NoAddress { .. })));
    for local in ["http://127.0.0.1:8080/x", "http://[::1]:8080/x", "http://localhost/x"] {
        assert!(address(local, 0o600).is_ok(), "{local}");
    }
    let error = address("http://example.com/SECRET", 0o600).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("SECRET"));
}
