use super::*;

#[test]
fn marks_line_ends_comments_and_numbers_of_every_syntax_are_read() {
    for text in [
        "\u{feff}# one\r\n[[inbounds]]\r\nport = 443\r\nsettings.clients = [{ email = \"10001\" }]\r\n",
        "\u{feff}inbounds:\r\n- port: 443\r\n  settings:\r\n    clients:\r\n    - email: 10001\r\n",
        "# one\n{\"inbounds\": [ # all\n{\"port\": \"443\", \"settings\": {\"clients\": [{\"email\": \"10001\",}]}}]}",
        "{\"inbounds\": [], \"inbounds\": [{\"port\": 443, \"settings\": {\"clients\": [{\"email\": \"10001\"}]}}]}",
    ] {
        let listed = Xray.parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert_eq!(listed.owners, [(443, Some("10001".to_owned()))].into(), "{text}");
    }
}
