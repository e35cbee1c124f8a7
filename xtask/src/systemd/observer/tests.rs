use super::*;

#[test]
fn differences_do_not_cancel_each_other() {
    let left = Bytes::from([((443, "in"), 10), ((443, "out"), 5)]);
    let right = Bytes::from([((443, "in"), 5), ((443, "out"), 10), ((80, "in"), 1)]);
    assert_eq!(difference(&left, &right), 11);
    assert_eq!(difference(&left, &left), 0);
}

#[test]
fn unfinished_lines_and_other_kinds_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let text = "{\"kind\":\"hour\",\"port\":443,\"tcp_in_bytes\":3,\"udp_in_bytes\":4}\n{\"kind\":\"seal\"}\n{\"kind";
    fs::write(directory.path().join("2026-10-05.jsonl"), text).unwrap();
    fs::write(directory.path().join("2026-10-05.jsonl.torn"), text).unwrap();
    let expected = Bytes::from([((443, "in"), 7), ((443, "out"), 0)]);
    assert_eq!(logged(directory.path(), "hour").unwrap(), expected);
    assert_eq!(logged(&directory.path().join("none"), "hour").unwrap(), Bytes::new());
}
