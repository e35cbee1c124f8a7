use super::*;

fn last(bytes: u64, others: u64) -> Last {
    let counters = Counters { tcp_in_bytes: bytes, tcp_out_bytes: 50, ..Counters::default() };
    let mut last = Last { ports: BTreeMap::from([(443, counters)]), ..Last::default() };
    last.others.other_ip.in_bytes = others;
    last
}

#[test]
fn nothing_is_taken_of_a_counter_that_may_have_been_restored() {
    let (before, now) = (last(100, 10), last(70, 20));
    assert_eq!(before.or_newer(&now, CounterDoubt::Rules, false), before);
    assert_eq!(before.or_newer(&last(900, 900), CounterDoubt::All, true), before);
    // Rules were restored, and the ports are counted in ipsets.
    assert_eq!(before.or_newer(&last(900, 900), CounterDoubt::Rules, true), last(900, 10));
}

#[test]
fn a_trusted_counter_is_never_less_than_before() {
    assert_eq!(last(100, 10).or_newer(&last(70, 20), CounterDoubt::Nothing, false), last(100, 20));
    assert_eq!(last(100, 10).or_newer(&Last::default(), CounterDoubt::Nothing, false), last(100, 10));
}

#[test]
fn of_a_flow_the_larger_of_every_number_is_kept() {
    let of = |[in_bytes, in_packets, out_bytes, out_packets]: [u64; 4]| {
        let flow = Flow { in_bytes, in_packets, out_bytes, out_packets };
        let mut last = Last { blocked: BTreeMap::from([(443, flow)]), ..Last::default() };
        last.others.other_ip = flow;
        last
    };
    let (before, now) = (of([1, 20, 3, 40]), of([10, 2, 30, 4]));
    assert_eq!(before.or_newer(&now, CounterDoubt::Nothing, false), of([10, 20, 30, 40]));
}
