use super::*;

const KEY: &str = "restrict,from=\"203.0.113.1\" ssh-ed25519 AAAAC3 root@main";

fn new_node() -> NodeFacts {
    NodeFacts {
        state_dir: "/var/lib/flow-agent".into(),
        accounts: AccountTools::Useradd,
        gid: None,
        top: Some(Owned { uid: 0, gid: 0, mode: 0o750 }),
        daily: Some(Owned { uid: 0, gid: 0, mode: 0o750 }),
        groups: vec![0],
        keys: String::new(),
        snippet: String::new(),
    }
}

#[test]
fn a_new_node_needs_everything() {
    let shown: String = plan(&new_node(), KEY).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown, @r#"
          useradd --system --user-group --home-dir / --no-create-home --shell /usr/sbin/nologin --password '*' flow
          install -d -o root -g root -m 751 /var/lib/flow-agent
          install -d -o root -g flow -m 2750 /var/lib/flow-agent/daily
          chgrp flow /var/lib/flow-agent/daily/*
          in /etc/ssh/flow_keys:
              restrict,from="203.0.113.1" ssh-ed25519 AAAAC3 root@main
          in /etc/ssh/sshd_config.d/flow.conf:
              Match User flow
                  AuthorizedKeysFile /etc/ssh/flow_keys
                  ChrootDirectory /var/lib/flow-agent
                  ForceCommand internal-sftp -R
        "#);
}

#[test]
fn without_useradd_the_user_is_made_as_busybox_does_it() {
    let alpine = NodeFacts { accounts: AccountTools::Busybox, ..new_node() };
    let steps = plan(&alpine, KEY);
    assert_eq!(steps[1..], plan(&new_node(), KEY)[1..]);
    insta::assert_snapshot!(steps[0].to_string(), @r#"
          addgroup -S flow
          adduser -S -D -H -h / -s /sbin/nologin -G flow flow
          echo 'flow:*' | chpasswd -e
        "#);
}

#[test]
fn a_node_that_is_prepared_needs_nothing() {
    let facts = NodeFacts {
        gid: Some(998),
        top: Some(Owned { uid: 0, gid: 0, mode: TOP_MODE }),
        daily: Some(Owned { uid: 0, gid: 998, mode: DAILY_MODE }),
        groups: vec![998, 998],
        keys: format!("# ours\n{KEY}\n"),
        snippet: snippet(Path::new("/var/lib/flow-agent")),
        ..new_node()
    };
    assert_eq!(plan(&facts, KEY), []);
    // systemd gave everything back to root, as it does if the group of the top directory is not the unit's.
    let undone = NodeFacts { daily: Some(Owned { uid: 0, gid: 0, mode: DAILY_MODE }), groups: vec![0], ..facts };
    let daily = PathBuf::from("/var/lib/flow-agent/daily");
    let directory = EnrolStep::Directory { path: daily.clone(), group: USER, mode: DAILY_MODE };
    assert_eq!(plan(&undone, KEY), [directory, EnrolStep::Regroup { path: daily }]);
}

#[test]
fn a_key_that_is_there_is_replaced_and_others_stay() {
    let keys = "# ours\nrestrict ssh-ed25519 AAAAC3\nrestrict ssh-ed25519 AAAAD4 second\n";
    assert_eq!(with_key(keys, KEY), format!("# ours\nrestrict ssh-ed25519 AAAAD4 second\n{KEY}\n"));
}

#[test]
fn a_path_that_sshd_would_read_otherwise_is_not_plain() {
    assert!(is_plain(Path::new("/srv/flow-agent.1")));
    for path in ["/srv/flow agent", "/srv/%u", "/srv/\"x\"", "srv"] {
        assert!(!is_plain(Path::new(path)), "{path}");
    }
}
