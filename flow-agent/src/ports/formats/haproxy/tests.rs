use super::*;

#[test]
fn a_line_is_split_as_haproxy_splits_it() {
    assert_eq!(words(r#"  bind "a b":1 'c#d' e\ f # comment"#), ["bind", "a b:1", "c#d", "e f"]);
    assert_eq!(words("# all of it"), [""; 0]);
    assert_eq!(words("a \"\" b"), ["a", "", "b"]);
}

#[test]
fn a_variable_may_be_the_host_but_not_the_port() {
    let text = "frontend a\n bind \"${ADDR}:5555\"\n bind ${ADDR}:${PORT},*:5556\n bind \"${BOTH}\"\n";
    let listed = Haproxy.parse(text.as_bytes()).unwrap();
    assert_eq!(listed.owners.keys().copied().collect::<Vec<_>>(), [5555, 5556]);
    let variables = listed.complaints.iter().map(|complaint| match complaint {
        Complaint::Environment { variable, .. } => variable.as_str(),
        other => panic!("{other}"),
    });
    assert_eq!(variables.collect::<Vec<_>>(), ["PORT", "BOTH"]);
}
