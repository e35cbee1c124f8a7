use super::*;
use crate::ledger::amount::{Prefixes, RateUnit};

const UNICODE: ScreenStyle = ScreenStyle {
    width: 80,
    unicode: true,
    color: false,
    units: Units { prefixes: Prefixes::Iec, rates: RateUnit::Bits },
    is_piped: false,
};
const ASCII: ScreenStyle = ScreenStyle { unicode: false, ..UNICODE };

#[test]
fn bars_have_eighths_and_never_hide_what_moved() {
    assert_eq!((UNICODE.bar(1, 2, 8), ASCII.bar(1, 2, 8)), ("████".to_owned(), "####".to_owned()));
    assert_eq!((UNICODE.bar(1, 16, 8), ASCII.bar(1, 16, 8)), ("▌".to_owned(), "#".to_owned()));
    assert_eq!((UNICODE.bar(1, 1_000_000, 8), ASCII.bar(1, 1_000_000, 8)), ("▏".to_owned(), "#".to_owned()));
    assert_eq!((UNICODE.bar(0, 5, 8), UNICODE.bar(5, 0, 8)), (String::new(), String::new()));
    assert_eq!(UNICODE.bar(u128::MAX / 64, u128::MAX / 64, 3), "███");
    assert!(UNICODE.bar(u128::MAX, u128::MAX, 3).width() <= 3);
    assert_eq!(UNICODE.gauge(3, 4, 8), ("██████".to_owned(), "░░".to_owned()));
    assert_eq!(ASCII.gauge(9, 4, 8), ("########".to_owned(), String::new()));
}

#[test]
fn a_sparkline_tells_zero_from_unknown() {
    let values = [Some(0), Some(1), Some(4), Some(8), None];
    assert_eq!(UNICODE.sparkline(&values), " ▁▄█·");
    assert_eq!(ASCII.sparkline(&values), " _~#?");
    assert_eq!(UNICODE.sparkline(&[Some(0), None]), " ·");
}

#[test]
fn names_are_cut_by_the_columns_that_they_take() {
    assert_eq!(cut("acct-8388", 9, true), "acct-8388");
    assert_eq!(cut("acct-8388", 8, true), "acct-83…");
    assert_eq!(cut("acct-8388", 8, false), "acct-83~");
    // Each of these characters takes two columns, so two of them fit into five columns beside the ellipsis.
    assert_eq!(cut("香港节点", 5, true), "香港…");
    assert_eq!(cut("香港节点", 4, true), "香…");
    assert_eq!((cut("香", 1, true), cut("香", 0, true)), ("…".to_owned(), String::new()));
}

#[test]
fn an_escape_in_a_name_never_reaches_the_terminal() {
    assert_eq!(printable("a\u{1b}[2Jb\r\n\u{202e}c"), "a<U+001B>[2Jb<U+000D><U+000A><U+202E>c");
    assert_eq!(UNICODE.name("\u{1b}]0;title\u{7}", 80), "<U+001B>]0;title<U+0007>");
}

#[test]
fn colours_are_only_used_if_wanted() {
    assert_eq!(UNICODE.paint(Tone::Bad, "x"), "x");
    let colored = ScreenStyle { color: true, ..UNICODE }.paint(Tone::Bad, "x");
    assert!(colored.starts_with('\u{1b}') && colored.contains('x') && colored.ends_with("\u{1b}[0m"), "{colored:?}");
}
