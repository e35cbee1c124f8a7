use super::*;

fn blocked<const N: usize>(ports: [(u16, u64); N]) -> Blocked {
    ports.into_iter().map(|(port, in_bytes)| (port, Flow { in_bytes, ..Flow::default() })).collect()
}

#[test]
fn the_difference_leaves_out_ports_of_which_nothing_was_refused() {
    let before = blocked([(443, 10), (8388, 5)]);
    let now = blocked([(443, 30), (8388, 5), (9000, 1), (9001, 0)]);
    assert_eq!(now.since(&before), blocked([(443, 20), (9000, 1)]));
}

#[test]
fn counters_that_were_made_anew_are_new() {
    assert_eq!(blocked([(443, 3)]).since(&blocked([(443, 10)])), blocked([(443, 3)]));
}

#[test]
fn it_is_written_by_port() {
    let text = serde_json::to_string(&blocked([(8388, 7)])).unwrap();
    assert_eq!(text, r#"{"8388":{"in_bytes":7,"in_packets":0,"out_bytes":0,"out_packets":0}}"#);
    assert_eq!(serde_json::from_str::<Blocked>(&text).unwrap(), blocked([(8388, 7)]));
}

#[test]
fn sums_are_taken_number_by_number_up_to_the_largest() {
    let mut sum = blocked([(443, 10), (8388, u64::MAX)]);
    sum.add(&blocked([(443, 5), (8388, 1), (9000, 2)]));
    assert_eq!(sum, blocked([(443, 15), (8388, u64::MAX), (9000, 2)]));
}
