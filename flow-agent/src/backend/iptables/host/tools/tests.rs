use super::*;

#[test]
fn mangle_unless_it_would_have_to_be_made_for_good() {
    assert_eq!(preferred_legacy_table("filter\nnat\n"), "filter");
    assert_eq!(preferred_legacy_table("filter\nmangle\n"), "mangle");
    assert_eq!(preferred_legacy_table(""), "mangle");
}
