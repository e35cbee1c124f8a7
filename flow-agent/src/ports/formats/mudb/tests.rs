use std::error::Error as _;

use proptest::prelude::*;

use super::*;

const REAL: &str = r#"[
    {
        "d": 0,
        "enable": 1,
        "forbidden_port": "1-79",
        "method": "aes-256-cfb",
        "obfs": "plain",
        "passwd": "m]12{\"",
        "port": 8388,
        "protocol": "origin",
        "transfer_enable": 9007199254740992,
        "u": 0,
        "user": "portia"
    },
    { "user": "off", "enable": 0, "port": 443, "transfer_enable": 1 },
    { "port": 4433 }
]
"#;

fn owners(listed: &Listed) -> Vec<(u16, Option<&str>)> {
    listed.owners.iter().map(|(port, user)| (*port, user.as_deref())).collect()
}

fn parse(text: &str) -> Result<Listed, FormatError> {
    Mudb.parse(text.as_bytes())
}

fn chain(text: &str) -> String {
    let error = parse(text).unwrap_err();
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[test]
fn only_the_key_port_is_a_port() {
    // Neither `forbidden_port` nor a user called portia is a port. A user who is disabled is still counted.
    let listed = parse(REAL).unwrap();
    assert_eq!(owners(&listed), [(443, Some("off")), (4433, None), (8388, Some("portia"))]);
}

#[test]
fn the_quota_is_a_number_of_bytes() {
    let listed = parse(REAL).unwrap();
    let quotas: Vec<_> =
        listed.details.iter().map(|(port, detail)| (*port, detail.quota.map(|quota| quota.bytes))).collect();
    assert_eq!(quotas, [(443, Some(1)), (8388, Some(9_007_199_254_740_992))]);
    let odd = parse(r#"[{"port":1,"transfer_enable":"5"},{"port":2,"transfer_enable":-5}]"#).unwrap();
    assert_eq!(odd.details[&1].quota.map(|quota| quota.bytes), Some(5));
    assert_eq!(
        odd.complaints.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [r#"the quota in entry 2 is unknown: "-5" is not a number of bytes"#]
    );
}

#[test]
fn a_mark_of_utf8_and_an_entry_that_stands_twice_are_no_harm() {
    let text = "\u{feff}[{\"port\":443,\"user\":\"ada\"},{\"port\":80},{\"port\":80},{\"port\":443,\"user\":\"ada\"}]";
    assert_eq!(owners(&parse(text).unwrap()), [(80, None), (443, Some("ada"))]);
}

#[test]
fn a_file_cut_anywhere_is_torn() {
    let whole = REAL.trim_end();
    for length in 0..whole.len() {
        let error = parse(&whole[..length]).unwrap_err();
        assert!(matches!(error, FormatError::Torn { .. }), "cut at {length}: {error}");
    }
    assert_eq!(
        chain("[\n{\"port\": 8388, \"us"),
        "it ends in the middle, at line 2: it is being written or was truncated"
    );
}

#[test]
fn a_text_that_is_something_else_is_refused() {
    for (text, cause) in [
        ("{\"port\":443}", ": invalid type: map, expected a sequence at line 1 column 0"),
        ("[443]", ": invalid type: integer `443`, expected struct Entry at line 1 column 4"),
        ("[]]", ": trailing characters at line 1 column 3"),
    ] {
        assert_eq!(chain(text), format!("expected {EXPECTED}{cause}"), "{text}");
    }
    assert_eq!(chain("[{\"user\":\"a\"}]"), format!("none of its 1 rows has a port: expected {EXPECTED}"));
}

#[test]
fn a_row_that_cannot_be_counted_is_named_and_the_rest_is_taken() {
    let text = r#"[
            {"port": 443, "user": "gate"},
            {"port": "8388", "user": "ada"},
            {"port": 100001, "user": "100001"},
            {"port": 0, "user": "zero"},
            {"port": -1, "user": 7},
            {"port": 443.5},
            {"user": "carl"},
            {"port": 9000, "user": "a\u202eb"},
            {"port": 9001, "user": " "},
            {"port": 8388, "user": "eve"}
        ]"#;
    let listed = parse(text).unwrap();
    let expected = [(443, Some("gate")), (8388, None), (9000, None), (9001, None)];
    assert_eq!(owners(&listed), expected);
    let complaints: Vec<_> = listed.complaints.iter().map(ToString::to_string).collect();
    let range = "is out of range, expected 1 to 65535";
    let expected = [
            format!("user \"100001\" is not counted: port 100001 {range}"),
            format!("user \"zero\" is not counted: port 0 {range}"),
            format!("user \"7\" is not counted: port -1 {range}"),
            "entry 6 is not counted: \"443.5\" is not a port, expected 1 to 65535 or a range such as 8000-8100".to_owned(),
            "user \"carl\" is not counted: it has no port where `port` is expected".to_owned(),
            "port 9000 is counted without an owner: U+202E in \"a\\u{202e}b\", expected no control or bidirectional characters".to_owned(),
            "port 8388 is counted without an owner: it is listed for \"ada\" and for \"eve\"".to_owned(),
        ];
    assert_eq!(complaints, expected);
}

#[test]
fn an_empty_array_is_no_ports() {
    assert_eq!(parse("[]\n").unwrap(), Listed::default());
}

proptest! {
    #[test]
    fn it_never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
        // The result does not matter here, only that there is one.
        drop(Mudb.parse(&text));
    }
}
