use super::*;

#[test]
fn an_exception_at_the_end_of_an_answer_is_found() {
    for body in [
        "Code: 497, e.displayText() = DB::Exception: Not enough privileges",
        "1\n2\nCode: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)\n",
        "1\t2\r\n__exception__\r\nabc\r\nCode: 395. DB::Exception: thrown\n26 abc\r\n__exception__\r\n",
    ] {
        assert!(is_exception(body), "{body}");
    }
    // User names are escaped in the result of a query, so none of them can begin a line.
    for body in ["", "1\t2\n", "Code: 7\n", "user\tCode: 1. DB::Exception: a name\n"] {
        assert!(!is_exception(body), "{body}");
    }
    assert_eq!(code_of("Code: 497. DB::Exception: …"), Some(497));
    assert_eq!(code_of("Code: 62, e.displayText()"), Some(62));
    assert_eq!(code_of("<html>"), None);
}

#[test]
fn what_a_server_says_is_shown_on_one_line() {
    assert_eq!(printable("a\nb\u{1b}[31m"), "a b [31m");
    assert_eq!(printable(&"x".repeat(600)).chars().count(), MOST_MESSAGE_CHARS + 1);
}
