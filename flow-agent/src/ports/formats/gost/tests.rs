use super::*;

#[test]
fn the_only_user_of_an_auther_owns_the_port() {
    let text = "services:\n- addr: :8001\n  handler: {type: socks5, auther: one}\n\
                    - addr: :8002\n  handler: {type: socks5, authers: [one, two]}\n\
                    - addr: :8003\n  handler: {type: socks5, auther: none}\n\
                    - addr: :8004\n  handler: {type: socks5, auth: {username: 10001, password: x}}\n\
                    authers:\n- name: one\n  auths: [{username: ada, password: x}]\n\
                    - name: two\n  auths: [{username: bob, password: x}]\n";
    let listed = Gost.parse(text.as_bytes()).unwrap();
    let owners: Vec<_> = listed.owners.iter().map(|(port, owner)| (*port, owner.as_deref())).collect();
    assert_eq!(owners, [(8001, Some("ada")), (8002, None), (8003, None), (8004, Some("10001"))]);
}

#[test]
fn sizes_are_binary_and_zero_is_no_quota() {
    let quota = |limit: &str| {
        let text = format!("services:\n- addr: :8001\n  quotas: [q]\nquotas:\n- name: q\n  limit: {limit}\n");
        let listed = Gost.parse(text.as_bytes()).unwrap();
        (listed.details.get(&8001).and_then(|detail| detail.quota).map(|quota| quota.bytes), listed.complaints.len())
    };
    assert_eq!(quota("100GB"), (Some(100 << 30), 0));
    assert_eq!(quota("512KB"), (Some(512 << 10), 0));
    assert_eq!(quota("\"0\""), (None, 0));
    assert_eq!(quota("-1B"), (None, 0));
    assert_eq!(quota("much"), (None, 1));
}
