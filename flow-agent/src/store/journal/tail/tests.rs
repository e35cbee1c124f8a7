use super::*;

#[test]
fn the_ends_of_a_file_are_read_as_they_stand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("2026-10-05.jsonl");
    let long = format!("{{\"kind\":\"seal\",\"seq\":9,\"x\":\"{}\"}}\n", "x".repeat(100_000));
    let cases: [(&[u8], Tail, Option<u64>); 13] = [
        (b"", Tail::Empty, None),
        (b"{\"kind\":\"hour\"}\n{\"kind\":\"seal\",\"seq\":42}\n", Tail::Seal(42), Some(42)),
        (b"{\"kind\":\"seal\",\"seq\":42}\n", Tail::Seal(42), Some(42)),
        (b"{\"kind\":\"hour\"}\n{\"kind\":\"hour\"}\n{\"kind\":\"seal\",\"seq\":7}\n", Tail::Seal(7), Some(7)),
        (b"{\"kind\":\"seal\",\"seq\":1}\n{\"kind\":\"seal\",\"seq\":2}\n", Tail::Seal(2), Some(1)),
        (b"{\"kind\":\"seal\",\"quality\":\"import\"}\n", Tail::Imported, None),
        (b"{\"kind\":\"seal\",\"quality\":\"exact\"}\n", Tail::Doubtful, None),
        (b"{\"kind\":\"seal\",\"seq\":42,\"check\":\"00000000\"}\n", Tail::Doubtful, None),
        (b"{\"kind\":\"seal\",\"seq\":42}", Tail::Doubtful, Some(42)),
        (b"{\"kind\":\"seal\",\"seq\":42}\n{\"kind\":\"hour\"}\n", Tail::Doubtful, Some(42)),
        (b"{\"kind\":\"seal\",\"seq\":42}\n\0\0\0\0", Tail::Doubtful, Some(42)),
        (b"\n", Tail::Doubtful, None),
        (long.as_bytes(), Tail::Seal(9), Some(9)),
    ];
    for (bytes, tail, first) in cases {
        std::fs::write(&path, bytes).unwrap();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
        assert_eq!((last(&path).unwrap(), first_seq(&path).unwrap()), (tail, first), "{shown:?}");
    }
}
