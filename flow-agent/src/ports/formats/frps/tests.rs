use super::*;

#[test]
fn what_listens_on_loopback_only_is_left_out() {
    let ports = |text: &str| Frps.parse(text.as_bytes()).unwrap().owners.into_keys().collect::<Vec<_>>();
    assert_eq!(ports("bindAddr = \"127.0.0.1\"\nbindPort = 7000\nvhostHTTPPort = 80\n"), [0; 0]);
    let text = "bindAddr = \"::1\"\nproxyBindAddr = \"0.0.0.0\"\nbindPort = 7000\nvhostHTTPPort = 80\n";
    assert_eq!(ports(text), [80]);
    assert_eq!(ports("[common]\nbind_addr = 127.0.0.1\nbind_port = 7000\n"), [0; 0]);
    assert_eq!(ports("[common]\nbind_addr = 0.0.0.0\nbind_port = 7000\n"), [7000]);
}
