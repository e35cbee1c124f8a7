use super::*;

fn counters(tcp_in_bytes: u64) -> Counters {
    Counters { tcp_in_bytes, ..Counters::default() }
}

#[test]
fn counters_are_found_in_whatever_order_they_came() {
    let by_port: ByPort = [(8388, counters(3)), (443, counters(1)), (8388, counters(2))].into();
    assert_eq!(by_port.keys().copied().collect::<Vec<_>>(), [443, 8388]);
    assert_eq!((by_port[&443], by_port[&8388], by_port.get(&80)), (counters(1), counters(2), None));
    assert_eq!(by_port, [(443, counters(1)), (8388, counters(2))].into());
    assert!(!by_port.contains_key(&8387) && by_port.len() == 2);
    assert!(!by_port.is_empty() && ByPort::default().is_empty());
    assert_eq!(by_port.into_iter().collect::<Vec<_>>(), [(443, counters(1)), (8388, counters(2))]);
    // In order, but with one of them twice.
    let twice: ByPort = [(443, counters(1)), (443, counters(2))].into();
    assert_eq!((twice.len(), twice[&443]), (1, counters(2)));
}
