use super::*;

#[test]
fn an_address_is_encrypted_or_on_this_machine() {
    let url = |text| FleetUrl::parse(text).map(|url| url.to_string()).map_err(|error| error.to_string());
    assert_eq!(url("https://db.example.com").unwrap(), "https://db.example.com:8443");
    assert_eq!(url("https://db.example.com:443/").unwrap(), "https://db.example.com:443");
    assert_eq!(url("http://127.0.0.1").unwrap(), "http://127.0.0.1:8123");
    assert_eq!(url("http://[::1]:18123").unwrap(), "http://[::1]:18123");
    for wrong in ["db:8443", "https://", "https://a/b", "https://a:0", "https://a:x", "clickhouse://a", "https://-a"] {
        assert!(url(wrong).is_err(), "{wrong}");
    }
    assert!(url("http://10.0.0.1").unwrap_err().contains("is unencrypted"));
    assert!(!url("https://me:secret@a").unwrap_err().contains("secret"));
}

#[test]
fn a_database_is_a_plain_identifier() {
    assert!(DatabaseName::parse("flow_agent2").is_ok());
    for wrong in ["", "2x", "a-b", "a.b", "a`b", "_a"] {
        assert!(DatabaseName::parse(wrong).is_err(), "{wrong}");
    }
}
