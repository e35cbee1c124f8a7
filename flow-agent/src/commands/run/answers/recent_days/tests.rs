use super::*;
use crate::ledger::record::DayLine;

#[test]
fn days_are_in_the_bytes_that_are_billed() {
    let day: NaiveDate = "2026-10-05".parse().unwrap();
    let line = |port, bytes: [u64; 4]| {
        let [tcp_in_bytes, tcp_out_bytes, udp_in_bytes, udp_out_bytes] = bytes;
        let counters = Counters { tcp_in_bytes, tcp_out_bytes, udp_in_bytes, udp_out_bytes, ..Counters::default() };
        DayLine::new(day, port, Some("ada".to_owned()), counters)
    };
    let seal = r#"{"v":1,"kind":"seal","day":"2026-10-05","node":"n","zone":"UTC","ports":2,"seconds_in_day":86400,"seconds_covered":86000,"sha256":""}"#;
    let mut recent = RecentDays::default();
    let lines = vec![line(443, [1, 20, 300, 0]), line(8388, [0, 0, 0, 4_000])];
    recent.take(DayBlock { lines, seal: serde_json::from_str(seal).unwrap() });
    for (billed, bytes) in [(Billed::Both, 4_321), (Billed::In, 301), (Billed::Out, 4_020), (Billed::Max, 4_020)] {
        assert_eq!(recent.of("ada", billed), [Measured { bytes, seconds: 86_000 }], "{billed:?}");
    }
    assert_eq!(recent.of("bob", Billed::Both), [Measured { bytes: 0, seconds: 86_000 }]);
}
