//! The views that dashboards read add up what a report bills. They need a newer engine than Debian's.

use chrono::{DateTime, TimeDelta};

use super::engine::Engine;
use super::hours::{Hour, line};
use super::node::Node;

#[test]
fn hours_that_one_bucket_replaced_after_the_log_was_lost_count_once_in_every_view() {
    let dir = tempfile::tempdir().unwrap();
    let Some(engine) = Engine::start(dir.path(), None).filter(Engine::has_views) else { return };
    let node = Node::new("hk-1", &engine);
    node.init();
    let start = DateTime::parse_from_rfc3339("2026-10-05T00:00:00+00:00").unwrap();
    let hour = |index: u64, bytes: u64| {
        let at = start + TimeDelta::hours(i64::try_from(index).unwrap());
        Hour::exact(at, index + 1, "e1", vec![line(443, Some("alice"), [bytes, 0, 0, 7])])
    };
    let before: Vec<Hour> = (0..6).map(|index| hour(index, 100 << index)).collect();
    node.put(&before);
    node.ship().with_code(0);
    let sums = |view: &str| {
        engine.query(&format!("SELECT sum(in_bytes), sum(out_bytes) FROM flow_agent.{view} FORMAT TabSeparated"))
    };
    // 100 * (1 + 2 + 4 + 8 + 16 + 32) bytes came in.
    assert_eq!(sums("port_day"), "6300\t42\n");
    // The log is lost. What the counters still show of the first four hours is one bucket, under a new number.
    let whole = Hour {
        end: start + TimeDelta::hours(4),
        seq: 7,
        quality: "late",
        lines: vec![line(443, Some("alice"), [1_500, 0, 0, 28])],
        ..hour(0, 0)
    };
    node.put(&[&[whole], &before[4..]].concat());
    node.ship().with_code(0);
    for view in ["port_hour_current", "port_day", "user_month", "bucket_current"] {
        assert_eq!(sums(view), "6300\t42\n", "{view}");
    }
    assert_eq!(
        engine.query("SELECT seq FROM flow_agent.bucket_replaced ORDER BY seq FORMAT TabSeparated"),
        "1\n2\n3\n4\n"
    );
    // Another `init` replaces the views of an earlier release, and changes nothing else.
    engine.query(
        "CREATE OR REPLACE VIEW flow_agent.bucket_replaced AS SELECT node, epoch, seq FROM flow_agent.bucket WHERE 0",
    );
    assert_eq!(sums("port_day"), "7800\t70\n");
    node.init();
    assert_eq!(sums("port_day"), "6300\t42\n");
    assert_eq!(node.report().alice, 6_342);
}
