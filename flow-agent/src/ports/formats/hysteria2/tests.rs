use super::*;

fn owners(text: &str) -> Vec<(u16, Option<String>)> {
    let listed = Hysteria2.parse(text.as_bytes()).unwrap();
    assert_eq!(listed.complaints, []);
    listed.owners.into_iter().collect()
}

#[test]
fn every_way_to_write_an_address_is_read() {
    for listen in ["", "listen: :443\n", "listen: 0.0.0.0:443\n", "listen: \"[::]:443\"\r\n", "listen:\n"] {
        let text = format!("\u{feff}# hysteria\n{listen}auth: {{type: password, password: x}}\n");
        assert_eq!(owners(&text), [(443, None)], "{listen}");
    }
    assert_eq!(owners("listen: 127.0.0.1:443\nauth: {type: password}\n"), []);
    assert_eq!(owners("listen: :20000-50000,443\nauth: {type: password}\n").len(), 30_002);
}

#[test]
fn a_user_whose_name_is_a_number_is_a_user() {
    let text = "listen: :443\nauth:\n  type: userpass\n  userpass:\n    10001: secret\n";
    assert_eq!(owners(text), [(443, Some("10001".to_owned()))]);
}
