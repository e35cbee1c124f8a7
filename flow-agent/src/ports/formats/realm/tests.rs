use super::*;

#[test]
fn version_1_on_loopback_listens_for_nobody_else() {
    let ports = |addresses: &str| {
        let text = format!("{{\"listening_addresses\": [{addresses}], \"listening_ports\": [\"8080-8081\", \"443\"]}}");
        Realm.parse(text.as_bytes()).unwrap().owners.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(ports("\"127.0.0.1\", \"::1\""), [0; 0]);
    assert_eq!(ports("\"0.0.0.0\""), [443, 8080, 8081]);
    assert_eq!(ports(""), [443, 8080, 8081]);
}
