use super::*;

#[test]
fn a_line_is_split_as_haproxy_splits_it() {
    assert_eq!(words(r#"  bind "a b":1 'c#d' e\ f # comment"#), ["bind", "a b:1", "c#d", "e f"]);
    assert_eq!(words("# all of it"), [""; 0]);
    assert_eq!(words("a \"\" b"), ["a", "", "b"]);
}
