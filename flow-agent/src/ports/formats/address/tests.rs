use serde_json::json;

use super::*;

#[test]
fn hosts_and_ports_are_told_apart() {
    for (text, host, ports) in [
        ("0.0.0.0:443", Some("0.0.0.0"), vec![443..=443]),
        ("[::]:443", Some("::"), vec![443..=443]),
        (":::443", Some("::"), vec![443..=443]),
        (":443", None, vec![443..=443]),
        ("443", None, vec![443..=443]),
        (":20000-50000,443", None, vec![20_000..=50_000, 443..=443]),
    ] {
        let address = json!(text);
        let (found, rest) = split(&address);
        assert_eq!((found, ranges(rest)), (host, Ok(ports)), "{text}");
    }
    assert_eq!(split(&json!(443)), (None, json!(443)));
}

#[test]
fn loopback_is_known_in_all_its_forms() {
    for host in ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "::ffff:127.0.0.1", "localhost"] {
        assert!(is_loopback(host), "{host}");
    }
    for host in ["0.0.0.0", "::", "", "10.0.0.1", "example.com", "*"] {
        assert!(!is_loopback(host), "{host}");
    }
}
