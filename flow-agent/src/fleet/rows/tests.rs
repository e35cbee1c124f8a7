use super::*;

const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn sender() -> RowSender {
    RowSender { node: "hk-1".into(), zone: "Asia/Shanghai".into(), bucket_seconds: 3600, version: "0.1.0" }
}

/// A bucket with these ports; the numbers are bytes of TCP in, TCP out, UDP in and UDP out.
fn block(ports: &[(u16, Option<&str>, [u64; 4])]) -> HourBlock {
    let start = DateTime::parse_from_rfc3339("2026-10-01T00:00:00+08:00").unwrap();
    let end = start + chrono::TimeDelta::hours(1);
    let lines = ports.iter().map(|(port, user, [a, b, c, d])| {
        let counters = Counters::from_array([*a, 0, *b, 0, *c, 0, *d, 0]);
        HourLine::new(start, end, *port, user.map(str::to_owned), counters, None, false)
    });
    let seal = serde_json::json!({"v": 1, "kind": "seal", "seq": 7, "start": "2026-10-01T00:00:00+08:00",
            "end": "2026-10-01T01:00:00+08:00", "node": "old-name", "epoch": "boot-1", "quality": "exact",
            "ports": ports.len(), "sha256": SHA});
    HourBlock { lines: lines.collect(), seal: serde_json::from_value(seal).unwrap() }
}

#[test]
fn each_protocol_with_traffic_has_a_row_and_an_idle_port_has_one() {
    let block = block(&[(443, Some("alice"), [1, 2, 0, 0]), (444, None, [0; 4]), (445, None, [1, 0, 2, 3])]);
    let sender = sender();
    let checked = Checked::new(&block, &sender, 1).unwrap();
    let rows: Vec<_> = checked.rows().map(|row| (row.port, row.proto, row.user, row.in_bytes, row.out_bytes)).collect();
    let expected =
        [(443, "tcp", "alice", 1, 2), (444, "tcp", "", 0, 0), (445, "tcp", "", 1, 0), (445, "udp", "", 2, 3)];
    assert_eq!(rows, expected);
    let manifest = checked.manifest();
    assert_eq!((manifest.rows, manifest.in_bytes, manifest.out_bytes), (4, 4, 5));
}

#[test]
fn the_day_is_the_one_that_the_node_wrote_and_the_instant_is_in_utc() {
    let (block, sender) = (block(&[]), sender());
    let json = serde_json::to_value(Checked::new(&block, &sender, 3).unwrap().manifest()).unwrap();
    let expected = serde_json::json!({"node": "hk-1", "epoch": "boot-1", "seq": 7, "start": 1_790_784_000,
            "end": 1_790_787_600, "utc_offset": 28_800, "day": "2026-10-01", "zone": "Asia/Shanghai",
            "bucket_seconds": 3600, "quality": "exact", "rows": 0, "gaps": 0, "in_bytes": 0, "out_bytes": 0,
            "sha256": SHA, "rev": 3, "version": "0.1.0"});
    assert_eq!(json, expected);
}

#[test]
fn what_clickhouse_would_change_does_not_leave() {
    let sender = sender();
    let why = |block: &HourBlock| Checked::new(block, &sender, 1).unwrap_err().why;
    assert_eq!(why(&block(&[(0, None, [1; 4])])), "port 0");
    assert_eq!(why(&block(&[(80, None, [1; 4]), (80, None, [1; 4])])), "port 80 appears twice");
    let huge = [(80, None, [u64::MAX, 0, 0, 0]), (81, None, [1, 0, 0, 0])];
    assert_eq!(why(&block(&huge)), "the sums of its ports are above 2^64");
    let mut late = block(&[]);
    late.seal.end = DateTime::parse_from_rfc3339("2190-01-01T00:00:00Z").unwrap();
    assert_eq!(why(&late), "ClickHouse has no date 2026-10-01");
    let mut short = block(&[(80, None, [1; 4])]);
    short.seal.ports = 2;
    assert_eq!(why(&short), "its seal names 2 ports, but it has 1");
}
