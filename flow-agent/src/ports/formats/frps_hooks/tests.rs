use super::*;
use crate::ports::PortFileFormat;
use crate::ports::formats::of;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A request as frps writes it, including fields that do not matter here.
fn request(op: &str, user: &str, name: &str, port: u16) -> Vec<u8> {
    let content = json!({
        "user": { "user": user, "metas": {}, "run_id": "5f2c" },
        "proxy_name": name, "proxy_type": "tcp", "use_encryption": false, "remote_port": port,
    });
    json!({ "version": "0.1.0", "op": op, "content": content }).to_string().into_bytes()
}

fn owners(proxies: &Proxies) -> Vec<(u16, Option<String>)> {
    let listed = of(PortFileFormat::Frps).parse(proxies.list().as_bytes()).unwrap();
    assert_eq!(listed.complaints, []);
    listed.owners.into_iter().collect()
}

fn ada(port: u16) -> (u16, Option<String>) {
    (port, Some("ada".to_owned()))
}

#[test]
fn a_port_is_listed_from_its_proxy_s_opening_until_a_minute_after_its_closing() {
    let mut proxies = Proxies::default();
    assert_eq!(proxies.take(&request("NewProxy", "ada", "ada.ssh", 6000), secs(10)), HookOutcome::Changed);
    assert_eq!(owners(&proxies), [ada(6000)]);
    // The port stays listed: the client may have lost its connection, and may return.
    assert_eq!(proxies.take(&request("CloseProxy", "ada", "ada.ssh", 0), secs(100)), HookOutcome::Nothing);
    assert_eq!(proxies.expire(secs(159)), HookOutcome::Nothing);
    assert_eq!(owners(&proxies), [ada(6000)]);
    assert_eq!(proxies.expire(secs(160)), HookOutcome::Changed);
    assert_eq!(owners(&proxies), []);
}

#[test]
fn a_client_that_comes_back_keeps_its_port_in_whichever_order_frps_says_so() {
    let mut proxies = Proxies::default();
    proxies.take(&request("NewProxy", "ada", "ada.ssh", 6000), secs(10));
    proxies.take(&request("CloseProxy", "ada", "ada.ssh", 0), secs(100));
    proxies.take(&request("NewProxy", "ada", "ada.ssh", 6000), secs(110));
    assert_eq!(proxies.expire(secs(1_000)), HookOutcome::Nothing);
    // The end of the old connection is reported after the beginning of the new one.
    proxies.take(&request("NewProxy", "ada", "ada.ssh", 6000), secs(2_000));
    proxies.take(&request("CloseProxy", "ada", "ada.ssh", 0), secs(2_001));
    assert_eq!(proxies.expire(secs(9_000)), HookOutcome::Nothing);
    assert_eq!(owners(&proxies), [ada(6000)]);
}

#[test]
fn a_port_changes_hands_only_when_it_is_free() {
    let mut proxies = Proxies::default();
    proxies.take(&request("NewProxy", "ada", "ada.ssh", 6000), secs(10));
    let told = proxies.take(&request("NewProxy", "bob", "bob.ssh", 6000), secs(20));
    assert_eq!(
        told,
        HookOutcome::NotListed("proxy \"bob.ssh\" requests port 6000, which \"ada.ssh\" holds".to_owned())
    );
    // Nor may he close a proxy that is not his.
    proxies.take(&request("CloseProxy", "bob", "ada.ssh", 0), secs(21));
    proxies.take(&request("NewProxy", "bob", "bob.ssh", 6000), secs(22));
    assert_eq!(owners(&proxies), [ada(6000)]);
    proxies.take(&request("CloseProxy", "ada", "ada.ssh", 0), secs(30));
    assert_eq!(proxies.take(&request("NewProxy", "bob", "bob.ssh", 6000), secs(31)), HookOutcome::Changed);
    assert_eq!(owners(&proxies), [(6000, Some("bob".to_owned()))]);
}

#[test]
fn a_proxy_that_moves_to_another_port_leaves_its_former_one() {
    let mut proxies = Proxies::default();
    proxies.take(&request("NewProxy", "ada", "ada.ssh", 6000), secs(10));
    proxies.take(&request("NewProxy", "ada", "ada.ssh", 6001), secs(20));
    assert_eq!(owners(&proxies), [ada(6001)]);
}

#[test]
fn the_list_is_known_again_after_a_restart_and_its_ports_may_be_given_away() {
    let mut before = Proxies::default();
    before.take(&request("NewProxy", "ada", "ada.ssh", 6000), secs(10));
    before.take(&request("NewProxy", "", "nobody", 6001), secs(10));
    let mut after = Proxies::from_list(before.list().as_bytes()).unwrap();
    assert_eq!(owners(&after), [ada(6000), (6001, None)]);
    assert_eq!(after.expire(secs(9_000)), HookOutcome::Nothing);
    after.take(&request("NewProxy", "bob", "bob.ssh", 6000), secs(1));
    assert_eq!(owners(&after), [(6000, Some("bob".to_owned())), (6001, None)]);
}

#[test]
fn what_has_no_port_here_is_not_listed() {
    let mut proxies = Proxies::default();
    let mut take = |op: &str, content: Value| {
        proxies.take(json!({ "op": op, "content": content }).to_string().as_bytes(), secs(1))
    };
    let web = json!({ "proxy_name": "w", "proxy_type": "http", "custom_domains": ["a.example"] });
    assert_eq!(take("NewProxy", web), HookOutcome::Nothing);
    assert_eq!(take("Login", json!({ "user": "ada", "version": "0.66.0" })), HookOutcome::Nothing);
    let any = json!({ "proxy_name": "p", "proxy_type": "tcp", "remote_port": 0 });
    let told = "proxy \"p\" lets frps choose its port; only frps's API says which";
    assert_eq!(take("NewProxy", any), HookOutcome::NotListed(told.to_owned()));
    let far = json!({ "proxy_name": "p", "proxy_type": "tcp", "remote_port": 70_000 });
    let told = "proxy \"p\": port 70000 is out of range, expected 1 to 65535";
    assert_eq!(take("NewProxy", far), HookOutcome::NotListed(told.to_owned()));
    assert!(matches!(proxies.take(b"{\"op\":", secs(1)), HookOutcome::NotListed(_)));
    assert!(matches!(proxies.take(b"[1]", secs(1)), HookOutcome::NotListed(_)));
    assert_eq!(owners(&proxies), []);
}
