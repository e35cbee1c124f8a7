//! PURE: `mudb.json`, the users of a multi-user proxy: a JSON array of objects with at least `port` and `user`.
//!
//! Its writer truncates and rewrites it in place, so that half a file is an ordinary sight; it is an error here, and
//! whoever reads keeps the last good list. An entry with `enable` 0 is counted like any other: a port that should be
//! silent and is not is what its owner wants to hear of.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::ports::{Listed, spec, without_mark};

/// Why a text is no `mudb.json`. Lines are counted from one.
#[derive(Debug, thiserror::Error)]
pub enum MudbError {
    #[error("it ends in the middle, at line {line}: it is being written, or was cut")]
    Torn { line: usize },
    #[error("expected a JSON array of objects with `port` and `user`")]
    Json(#[from] serde_json::Error),
    #[error("port {port} is there twice: {first} and {second}")]
    Twice { port: u16, first: String, second: String },
}

#[derive(serde::Deserialize)]
struct Entry {
    port: Port,
    #[serde(default)]
    user: Option<String>,
}

struct Port(u16);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortVisitor;

        impl Visitor<'_> for PortVisitor {
            type Value = Port;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port from 1 to 65535 as a number")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Port, E> {
                spec::port(number.into()).map(Port).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Port, E> {
                spec::port(number.into()).map(Port).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(PortVisitor)
    }
}

/// The ports of `text` and their users.
///
/// # Errors
/// For half a file and for anything else that is not wholly as it should be: nothing of it is taken then.
pub fn parse(text: &[u8]) -> Result<Listed, MudbError> {
    let entries: Vec<Entry> = serde_json::from_slice(without_mark(text)).map_err(|error| match error.is_eof() {
        true => MudbError::Torn { line: error.line() },
        false => MudbError::Json(error),
    })?;
    let mut listed = Listed::default();
    for Entry { port: Port(port), user } in entries {
        let first = listed.owners.get(&port).cloned();
        if first.as_ref().is_some_and(|first| *first == user) {
            // Whose it is, is clear.
            continue;
        }
        if !listed.add(port, user.as_deref()) {
            let name = |user: Option<String>| user.map_or_else(|| "nobody".to_owned(), |user| format!("{user:?}"));
            return Err(MudbError::Twice { port, first: name(first.flatten()), second: name(user) });
        }
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
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

    fn chain(text: &str) -> String {
        let error = parse(text.as_bytes()).unwrap_err();
        error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
    }

    #[test]
    fn only_the_key_port_is_a_port() {
        // Neither `forbidden_port`, nor a user who is called portia; and one who is switched off is still counted.
        let listed = parse(REAL.as_bytes()).unwrap();
        assert_eq!(owners(&listed), [(443, Some("off")), (4433, None), (8388, Some("portia"))]);
    }

    #[test]
    fn a_mark_of_utf8_and_an_entry_that_stands_twice_are_no_harm() {
        let text =
            "\u{feff}[{\"port\":443,\"user\":\"ada\"},{\"port\":80},{\"port\":80},{\"port\":443,\"user\":\"ada\"}]";
        assert_eq!(owners(&parse(text.as_bytes()).unwrap()), [(80, None), (443, Some("ada"))]);
    }

    #[test]
    fn a_file_cut_anywhere_is_torn() {
        let whole = REAL.trim_end();
        for length in 0..whole.len() {
            let error = parse(&whole.as_bytes()[..length]).unwrap_err();
            assert!(matches!(error, MudbError::Torn { .. }), "cut at {length}: {error}");
        }
        assert_eq!(
            chain("[\n{\"port\": 8388, \"us"),
            "it ends in the middle, at line 2: it is being written, or was cut"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let expected = "expected a JSON array of objects with `port` and `user`";
        for (text, cause) in [
            (
                "[\n{\"port\":\"8388\"}]",
                "invalid type: string \"8388\", expected a port from 1 to 65535 as a number at line 2 column 14",
            ),
            ("[\n{\"port\":0}]", "port 0 is out of range, expected 1 to 65535 at line 2 column 9"),
            ("[{\"port\":70000}]", "port 70000 is out of range, expected 1 to 65535 at line 1 column 14"),
            ("[{\"port\":-1}]", "port -1 is out of range, expected 1 to 65535 at line 1 column 11"),
            (
                "[{\"port\":443.5}]",
                "invalid type: floating point `443.5`, expected a port from 1 to 65535 as a number at line 1 column 14",
            ),
            (
                "[{\"port\":null}]",
                "invalid type: null, expected a port from 1 to 65535 as a number at line 1 column 13",
            ),
            ("[{\"user\":\"a\"}]", "missing field `port` at line 1 column 13"),
            ("[{\"port\":443,\"user\":7}]", "invalid type: integer `7`, expected a string at line 1 column 21"),
            ("{\"port\":443}", "invalid type: map, expected a sequence at line 1 column 0"),
            ("[443]", "invalid type: integer `443`, expected struct Entry at line 1 column 4"),
            ("[]]", "trailing characters at line 1 column 3"),
        ] {
            assert_eq!(chain(text), format!("{expected}: {cause}"), "{text}");
        }
        let twice = r#"[{"port":443,"user":"a"},{"port":443,"user":"b"}]"#;
        assert_eq!(chain(twice), "port 443 is there twice: \"a\" and \"b\"");
    }

    #[test]
    fn a_port_whose_name_is_unfit_is_counted_without_it() {
        let listed = parse("[{\"port\":443,\"user\":\"a\\u202eb\"},{\"port\":444,\"user\":\" \"}]".as_bytes()).unwrap();
        assert_eq!(owners(&listed), [(443, None), (444, None)]);
        assert_eq!(listed.unfit_names.keys().collect::<Vec<_>>(), [&443]);
    }

    #[test]
    fn an_empty_array_is_no_ports() {
        assert_eq!(parse(b"[]\n").unwrap(), Listed::default());
    }

    proptest! {
        #[test]
        fn it_never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            // What comes out does not matter here, only that something does.
            drop(parse(&text));
        }
    }
}
