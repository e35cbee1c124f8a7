use super::*;

fn parse(text: &[u8]) -> Result<Listed, String> {
    List.parse(text).map_err(|error| error.to_string())
}

fn owners(listed: &Listed) -> Vec<(u16, Option<&str>)> {
    listed.owners.iter().map(|(port, user)| (*port, user.as_deref())).collect()
}

#[test]
fn ports_ranges_names_and_comments_are_read() {
    let text = "\u{feff}# of this node\r\n443\r\n8388 acct#1 # the first\n\n  9000-9001\tAnna O'Neil  \n";
    let anna = Some("Anna O'Neil");
    let expected = [(443, None), (8388, Some("acct#1")), (9000, anna), (9001, anna)];
    assert_eq!(owners(&parse(text.as_bytes()).unwrap()), expected);
    assert_eq!(parse(b"# none\n"), Ok(Listed::default()));
}

#[test]
fn a_line_that_cannot_be_counted_is_named_and_the_rest_is_taken() {
    let text = b"443 ada\n70000 bob\n0 nobody\ncarl 444\n9000 d\xffd\n440-443 eve\n100-90\n";
    let listed = parse(text).unwrap();
    let eve = Some("eve");
    assert_eq!(owners(&listed), [(440, eve), (441, eve), (442, eve), (443, None), (9000, None)]);
    let complaints: Vec<_> = listed.complaints.iter().map(ToString::to_string).collect();
    let expected = [
        "line 2 is not counted: port 70000 is out of range, expected 1 to 65535",
        "line 3 is not counted: port 0 is out of range, expected 1 to 65535",
        "line 4 is not counted: \"carl\" is not a port, expected 1 to 65535 or a range such as 8000-8100",
        "port 9000 is counted without an owner: the name in line 5 is not UTF-8",
        "port 443 is counted without an owner: it is listed for \"ada\" and for \"eve\"",
        "line 7 is not counted: range 100-90 is reversed, expected 90-100",
    ];
    assert_eq!(complaints, expected);
}

#[test]
fn a_text_without_any_port_is_not_a_list() {
    let expected = "none of its 2 rows has a port: expected a port or range, then optionally a user's name";
    assert_eq!(parse(b"<html>\n</html>\n"), Err(expected.to_owned()));
}

#[test]
fn a_list_cut_within_a_line_is_torn() {
    for torn in [&b"443\n83"[..], b"443"] {
        assert!(matches!(List.parse(torn), Err(FormatError::TornLine)));
    }
    assert!(matches!(List.parse(b""), Err(FormatError::Empty)));
}
