use super::*;

#[test]
fn the_first_words_say_what_is_counted_where() {
    let owners = [(443, None), (8000, Some("acct-8000".to_owned())), (8001, None)].into();
    let identity = Identity { kind: BackendKind::Ebpf, count: CountMode::Ip, epoch: "e".into(), pinned: true };
    let text =
        begin("hk-1", &owners, &["eth0".into()], &identity, Tz::Asia__Shanghai, Path::new("/var/lib/flow-agent"));
    assert_eq!(
        text,
        "hk-1: counting 3 ports on eth0 with eBPF (IP bytes)\n  ports  443,8000-8001\n  logs   /var/lib/flow-agent (days in Asia/Shanghai)"
    );
}

#[test]
fn ports_that_changed_are_named() {
    assert_eq!(changed(&[8443].into(), &[9000].into(), 51), "ports: +8443 -9000, 51 counted");
    assert_eq!(changed(&[80, 81, 82].into(), &BTreeSet::new(), 3), "ports: +80-82, 3 counted");
    assert_eq!(changed(&BTreeSet::new(), &[443, 8000].into(), 0), "ports: -443,8000, 0 counted");
}

#[test]
fn a_long_list_of_ports_is_cut_between_two_of_them() {
    let ports = spec::text((1..400).step_by(2));
    let short = shortened(&ports);
    assert!(short.len() <= 105 && short.ends_with(", …"), "{short}");
}
