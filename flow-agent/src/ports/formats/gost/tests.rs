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
