use super::*;

#[test]
fn no_text_can_leave_its_literal() {
    assert_eq!(quoted("hk-1"), "'hk-1'");
    assert_eq!(quoted(r"'); DROP TABLE x --\"), r"'\'); DROP TABLE x --\\'");
    assert_eq!(quoted_list(["a", "b'"]), r"'a', 'b\''");
}

#[test]
fn a_query_is_one_parameter_of_its_url() {
    assert_eq!(percent_encoded("INSERT `a`&b=é"), "INSERT%20%60a%60%26b%3D%C3%A9");
}

#[test]
fn what_the_server_escapes_is_read_as_it_was() {
    let rows: Vec<_> = tab_separated("1\ta\\tb\\\\c\\'\n2\t\n").collect();
    assert_eq!(rows, [vec!["1", "a\tb\\c'"], vec!["2", ""]]);
}
