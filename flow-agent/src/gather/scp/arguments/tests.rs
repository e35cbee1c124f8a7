use super::*;

fn remote() -> Remote {
    Remote {
        host: "203.0.113.7".to_owned(),
        user: Some("flow".to_owned()),
        port: 2222,
        identity_file: Some("/etc/flow-agent/id_ed25519".into()),
        known_hosts: "/etc/flow-agent/known_hosts".into(),
    }
}

fn words(remote: &Remote) -> Vec<String> {
    let source = Path::new("/var/lib/flow-agent/daily/2026-10.jsonl");
    let words = scp(remote, source, Path::new("/tmp/new/hk-1.jsonl"));
    words.into_iter().map(|word| word.into_string().unwrap()).collect()
}

#[test]
fn scp_is_told_everything_and_asks_nothing() {
    assert_eq!(
        words(&remote()),
        [
            "-F",
            "/dev/null",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "GlobalKnownHostsFile=/dev/null",
            "-o",
            "UpdateHostKeys=no",
            "-o",
            "CheckHostIP=no",
            "-o",
            "ConnectTimeout=10",
            "-o",
            "ServerAliveInterval=15",
            "-o",
            "ServerAliveCountMax=3",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "ForwardAgent=no",
            "-o",
            "ClearAllForwardings=yes",
            "-o",
            "PermitLocalCommand=no",
            "-o",
            "LogLevel=ERROR",
            "-o",
            "UserKnownHostsFile=\"/etc/flow-agent/known_hosts\"",
            "-i",
            "/etc/flow-agent/id_ed25519",
            "-P",
            "2222",
            "--",
            "flow@203.0.113.7:/var/lib/flow-agent/daily/2026-10.jsonl",
            "/tmp/new/hk-1.jsonl",
        ]
    );
}

#[test]
fn sftp_is_told_the_same_and_has_its_order_in_a_batch() {
    let words: Vec<String> = sftp(&remote()).into_iter().map(|word| word.into_string().unwrap()).collect();
    let same = options(&remote()).len();
    assert!(words[..same].iter().zip(options(&remote())).all(|(word, option)| option == word.as_str()));
    assert_eq!(words[same..], ["-P", "2222", "-b", "-", "--", "flow@203.0.113.7"]);
    let path = Path::new("/srv/a \"b\"/[x]*/daily/2026-10.jsonl");
    assert_eq!(
        batch(path, Path::new("/tmp/new/hk-1.jsonl")),
        "get \"/srv/a \\\"b\\\"/[x]*/daily/2026-10.jsonl\" \"/tmp/new/hk-1.jsonl\"\n"
    );
}

#[test]
fn an_ipv6_address_stands_in_brackets() {
    for host in ["2001:db8::7", "[2001:db8::7]"] {
        let remote = Remote { host: host.to_owned(), user: None, ..remote() };
        let words = words(&remote);
        assert_eq!(words[words.len() - 2], "[2001:db8::7]:/var/lib/flow-agent/daily/2026-10.jsonl");
    }
}

#[test]
fn a_path_is_one_path_and_no_pattern() {
    let path = Path::new("/srv/a b/[x]*/daily/2026-10.jsonl");
    assert_eq!(operand(&remote(), path), r"flow@203.0.113.7:/srv/a b/\[x\]\*/daily/2026-10.jsonl");
    assert_eq!(quoted(Path::new("/a b/%d\"")), r#""/a b/%%d\"""#);
}

#[test]
fn whatever_the_host_is_called_it_comes_after_the_dashes() {
    let remote = Remote { host: "-oProxyCommand=touch x".to_owned(), user: None, ..remote() };
    let words = words(&remote);
    let dashes = words.iter().position(|word| word == "--").unwrap();
    let host = words.iter().position(|word| word.contains("ProxyCommand")).unwrap();
    assert!(dashes < host, "{words:?}");
}
