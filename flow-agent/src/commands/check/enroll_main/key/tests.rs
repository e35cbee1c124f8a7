use super::*;

#[test]
fn one_public_key_is_admitted_from_where_it_is_said() {
    let key = "# of the main node\nssh-ed25519 AAAAC3+/= root@main\n";
    assert_eq!(admit(key, None).unwrap(), "restrict ssh-ed25519 AAAAC3+/= root@main");
    let both = Some("203.0.113.1,2001:db8::/64");
    assert_eq!(admit("ssh-rsa AAAAB3", both).unwrap(), "restrict,from=\"203.0.113.1,2001:db8::/64\" ssh-rsa AAAAB3");
}

#[test]
fn anything_else_is_refused() {
    let refused = |text: &str| admit(text, None).unwrap_err();
    assert_eq!(refused("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n"), KeyError::Private);
    assert_eq!(refused("\n# nothing\n"), KeyError::Absent);
    assert_eq!(refused("ssh-rsa AAAAB3\nssh-rsa AAAAB4\n"), KeyError::Several);
    assert!(matches!(refused("command=\"sh\" ssh-rsa AAAAB3"), KeyError::Kind { .. }));
    assert!(matches!(refused("ssh-rsa \u{1b}[2J"), KeyError::Kind { .. }));
    for from in ["", "a\" ,command=\"sh", "a b"] {
        assert!(matches!(admit("ssh-rsa AAAAB3", Some(from)), Err(KeyError::From { .. })), "{from}");
    }
}
