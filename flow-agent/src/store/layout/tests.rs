use super::*;

#[test]
fn the_paths_are_those_of_the_contract() {
    let state = StateDir::new("/var/lib/flow-agent");
    let day = NaiveDate::from_ymd_opt(2026, 10, 5).unwrap();
    let month = Month::of(day);
    let paths = [
        state.hourly(day),
        state.hourly_compressed(day),
        state.daily(month),
        state.monthly(2026),
        state.node_daily("hk-1", month),
        state.reports(month),
        state.checkpoint(),
        state.ports(),
        state.metrics(),
        state.instance(),
        state.sent(),
        state.grants(),
        state.notices(),
        state.ship(),
    ];
    let expected = [
        "hourly/2026-10-05.jsonl",
        "hourly/2026-10-05.jsonl.zst",
        "daily/2026-10.jsonl",
        "monthly/2026.jsonl",
        "nodes/hk-1/daily/2026-10.jsonl",
        "reports/2026-10",
        "checkpoint.json",
        "ports.json",
        "metrics.json",
        "instance",
        "sent.jsonl",
        "grants.jsonl",
        "notices.jsonl",
        "ship/ship.json",
    ];
    for (path, expected) in paths.iter().zip(expected) {
        assert_eq!(path.strip_prefix("/var/lib/flow-agent").unwrap(), Path::new(expected));
    }
}
