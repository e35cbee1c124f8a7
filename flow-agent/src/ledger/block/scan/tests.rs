use proptest::prelude::*;

use super::*;

fn number(text: &str) -> Option<(u64, &str)> {
    let mut at = Cursor { rest: text.as_bytes() };
    let number = at.number()?;
    Some((number, std::str::from_utf8(at.rest).unwrap()))
}

#[test]
fn a_number_ends_where_its_digits_end() {
    for (text, expected) in [
        ("0,", Some((0, ","))),
        ("7", Some((7, ""))),
        ("1234567,\"udp\":12", Some((1_234_567, ",\"udp\":12"))),
        ("12345678", Some((12_345_678, ""))),
        ("12345678,\"a\":1", Some((12_345_678, ",\"a\":1"))),
        ("123456789}\n", Some((123_456_789, "}\n"))),
        ("1234567812345678}\n", Some((1_234_567_812_345_678, "}\n"))),
        ("12345678123456789012", Some((12_345_678_123_456_789_012, ""))),
        ("18446744073709551615,", Some((u64::MAX, ","))),
        ("18446744073709551616,", None),
        ("100000000000000000000,", None),
        ("00,\"a\":1", None),
        ("01,\"a\":12", None),
        ("", None),
        ("-1,\"abcdef", None),
        (":12345678", None),
        ("/12345678", None),
        // Bytes whose carry would reach the next byte, and the neighbours of the digits.
        ("12:34567", Some((12, ":34567"))),
        ("12/34567", Some((12, "/34567"))),
        ("12\u{ff}34567", Some((12, "\u{ff}34567"))),
    ] {
        assert_eq!(number(text), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn a_number_is_read_as_it_was_written(value: u64, digits in 0..20_u32, rest in "[^0-9]\\PC{0,12}") {
        let value = value / 10_u64.pow(digits);
        let text = format!("{value}{rest}");
        prop_assert_eq!(number(&text), Some((value, rest.as_str())));
    }
}
