use serde_json::json;

use super::*;

#[test]
fn one_tree_comes_out_of_every_syntax() {
    let expected = json!({ "a": [1, { "b": "c" }] });
    assert_eq!(json5(br#"{"a": [1, {"b": "c"}]}"#, "x").unwrap(), expected);
    assert_eq!(json5(b"// first\n{a: [0x1, {'b': 'c',},], /* last */}", "x").unwrap(), expected);
    assert_eq!(toml(b"a = [1, { b = \"c\" }]\n", "x").unwrap(), expected);
    assert_eq!(yaml(b"a:\n  - 1\n  - b: c\n", "x").unwrap(), expected);
    assert_eq!(json5_or(toml, b"a = [1, { b = \"c\" }]\n", "x").unwrap(), expected);
    assert_eq!(json5_or(toml, b"\n{\"a\": [1, {\"b\": \"c\"}]}", "x").unwrap(), expected);
}

#[test]
fn comments_of_the_shells_kind_are_read_over() {
    let text = "# first\n{ \"a\": [1, # one\n  { \"b\": \"#c\" }], /* # */ 'd': '#' // # }\n}\n# last";
    assert_eq!(json5(text.as_bytes(), "x").unwrap(), json!({ "a": [1, { "b": "#c" }], "d": "#" }));
    // A text that is wrong without comments is wrong with them, too.
    assert!(matches!(json5(b"{\"a\": 1 # one\n", "x"), Err(FormatError::Json5 { .. } | FormatError::Torn { .. })));
}

#[test]
fn half_a_text_is_torn_in_every_syntax() {
    let line = |result: Result<Value, FormatError>| match result {
        Err(FormatError::Torn { line }) => line,
        other => panic!("{other:?}"),
    };
    assert_eq!(line(json5(b"{\"a\":\n [1,", "x")), 2);
    assert_eq!(line(json5(b"// first\n{a: [1,\n 2", "x")), 3);
    assert!(matches!(toml(b"port = 83", "x"), Err(FormatError::TornLine)));
    assert!(matches!(yaml(b"port: 83", "x"), Err(FormatError::TornLine)));
    for read in [json, json5, toml, yaml] {
        assert!(matches!(read(b" \n", "x"), Err(FormatError::NoText)));
    }
}

#[test]
fn nesting_without_end_is_refused_and_overflows_no_stack() {
    let deep = "[".repeat(1 << 20);
    assert!(json5(deep.as_bytes(), "x").is_err());
    for read in [json5, toml, yaml] {
        for begin in ["// \n{a: ", "{ # don't\na: "] {
            assert!(read(format!("{begin}{deep}\n").as_bytes(), "x").is_err());
        }
    }
}

#[test]
fn an_alias_that_unfolds_without_end_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = format!("*a{}, ", level - 1).repeat(9);
        text += &format!("a{level}: &a{level} [{}]\n", inner.trim_end_matches(", "));
    }
    assert!(yaml(text.as_bytes(), "x").is_err());
}

#[test]
fn ports_are_numbers_or_texts_of_numbers() {
    assert_eq!(port(&json!(443)), Ok(443));
    assert_eq!(port(&json!("443")), Ok(443));
    assert_eq!(ranges(&json!("53, 1000-1002")), Ok(vec![53..=53, 1000..=1002]));
    let message = |value: Value| port(&value).unwrap_err().to_string();
    assert_eq!(message(json!(100_001)), "port 100001 is out of range, expected 1 to 65535");
    assert_eq!(message(json!(-1)), "port -1 is out of range, expected 1 to 65535");
    assert_eq!(message(json!(443.5)), "\"443.5\" is not a port, expected 1 to 65535 or a range such as 8000-8100");
    assert_eq!(message(json!({})), "\"an object\" is not a port, expected 1 to 65535 or a range such as 8000-8100");
}
