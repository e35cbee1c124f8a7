use super::*;

#[test]
fn names_of_people_pass() {
    for name in ["acct-8388", "张三", "Ángel O'Neil <x>", "=1+1", "hk-1/8388", &"é".repeat(64)] {
        assert_eq!(check(name), Ok(()), "{name}");
    }
}

#[test]
fn what_hides_or_turns_the_text_is_refused() {
    for hidden in ['\0', '\n', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{61c}', '\u{200f}', '\u{202e}', '\u{2069}'] {
        let name = format!("a{hidden}b");
        assert_eq!(check(&name), Err(NameError::Hidden { character: hidden, found: name.clone() }));
    }
    assert_eq!(
        check("a\u{202e}b").unwrap_err().to_string(),
        "U+202E in \"a\\u{202e}b\", expected no control or bidirectional characters"
    );
    assert_eq!(check(" "), Err(NameError::Empty));
    assert_eq!(check(&"é".repeat(65)), Err(NameError::TooLong { bytes: 130, most: 128 }));
    assert_eq!(check_owner(&"x".repeat(192)), Ok(()));
    assert_eq!(check_owner(&"x".repeat(193)), Err(NameError::TooLong { bytes: 193, most: 192 }));
}
