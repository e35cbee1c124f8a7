use super::at;

#[test]
fn a_value_is_found_in_sections_lists_and_tables() {
    let text = "node = 7\n[count]\nbucket = \"7m\"\n[ports]\nwatch = [\n  443,\n  70000,\n]\n\
                    files = [{ path = \"a\", format = \"b\" }]\n[[nodes]]\nname = \"a\"\n[[nodes]]\nname = \"c\"\n";
    let key = |value: &str| at(text, text.find(value).unwrap());
    assert_eq!(key("7\n").as_deref(), Some("node"));
    assert_eq!(key("\"7m\"").as_deref(), Some("count.bucket"));
    assert_eq!(key("70000").as_deref(), Some("ports.watch"));
    assert_eq!(key("\"b\"").as_deref(), Some("ports.files.format"));
    assert_eq!(key("{ path").as_deref(), Some("ports.files"));
    assert_eq!(key("\"c\"").as_deref(), Some("nodes.name"));
    assert_eq!(at("x = ", 4), None);
}
