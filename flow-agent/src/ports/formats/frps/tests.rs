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

#[test]
fn a_port_of_zero_is_off_in_an_ini_too() {
    let listed = Frps.parse(b"[common]\nbind_port = 7000\nkcp_bind_port = 0\n").unwrap();
    assert_eq!(listed.owners.keys().copied().collect::<Vec<_>>(), [7000]);
    assert_eq!(listed.complaint_count(), 0);
}
