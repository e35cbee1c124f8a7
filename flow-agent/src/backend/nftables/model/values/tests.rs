use super::*;
use crate::backend::iptables::model::flow::Protocol;

const TCP_IN: NftSet = NftSet::Counters(FlowClass { protocol: Protocol::Tcp, direction: Direction::Ingress });
const UDP_OUT: NftSet = NftSet::Counters(FlowClass { protocol: Protocol::Udp, direction: Direction::Egress });

fn values(counts: &[(NftSet, &[(u16, BytesPackets)])]) -> NftValues {
    let counts = counts.iter().map(|(set, counts)| (*set, counts.iter().copied().collect()));
    NftValues { counts: counts.collect(), ..NftValues::default() }
}

#[test]
fn each_counter_is_judged_alone() {
    let before =
        values(&[(TCP_IN, &[(443, (100, 1)), (80, (10, 1))]), (NftSet::OtherIp(Direction::Ingress), &[(2, (5, 1))])]);
    assert_eq!(before.judge(&before), Ok(()));
    // One grew by more than the other lost.
    let one_less = values(&[(TCP_IN, &[(443, (99, 1)), (80, (1_000, 9))])]);
    assert_eq!(before.judge(&one_less).unwrap_err().part, "the counter of port 443");
    let family = values(&[(NftSet::OtherIp(Direction::Ingress), &[(2, (4, 1)), (10, (100, 1))])]);
    assert_eq!(before.judge(&family).unwrap_err().doubt, CounterDoubt::All);
}

#[test]
fn a_set_that_was_zeroed_is_noticed_even_if_its_counters_have_grown_since() {
    let before = values(&[(TCP_IN, &[(SENTINEL, SENTINEL_START), (443, (100, 1))])]);
    assert_eq!(before.judge(&before), Ok(()));
    // The second one has counted a packet to port zero since; of the others, only one of the two numbers was written back.
    for sentinel in [(0, 0), (28, 1), (0, SENTINEL_START.1), (SENTINEL_START.0, 0)] {
        let zeroed = values(&[(TCP_IN, &[(SENTINEL, sentinel), (443, (500, 5))])]);
        assert_eq!(before.judge(&zeroed).unwrap_err().part, "set ti");
        assert_eq!(NftValues::default().judge(&zeroed).unwrap_err().part, "set ti");
    }
}

#[test]
fn sums_leave_out_what_the_sentinels_started_with() {
    let values = values(&[
        (TCP_IN, &[(SENTINEL, (SENTINEL_START.0 + 40, SENTINEL_START.1 + 1)), (443, (100, 1))]),
        (UDP_OUT, &[(SENTINEL, SENTINEL_START), (443, (7, 3))]),
        (NftSet::OtherPorts(Direction::Ingress), &[(SENTINEL, SENTINEL_START), (2, (30, 1)), (10, (50, 2))]),
        (NftSet::Blocked(Direction::Egress), &[(SENTINEL, SENTINEL_START), (443, (9, 1))]),
    ]);
    assert_eq!(values.ports()[&443].to_array(), [100, 1, 0, 0, 0, 0, 7, 3]);
    assert_eq!(values.held(), [443].into());
    // 40 bytes came to port zero.
    let others = values.others();
    assert_eq!((others.other_ports.in_bytes, others.other_ports.in_packets), (120, 4));
    assert_eq!(others.other_ports.out_bytes, 0);
    let blocked = Flow { out_bytes: 9, out_packets: 1, ..Flow::default() };
    assert_eq!(values.blocked().iter().collect::<Vec<_>>(), [(443, blocked)]);
}

#[test]
fn the_larger_of_two_values_is_the_newer_and_none_is_lost() {
    let before = values(&[(TCP_IN, &[(443, (100, 1)), (80, (10, 1))])]);
    let now = values(&[(TCP_IN, &[(443, (150, 2))])]);
    assert_eq!(before.or_larger(&now), values(&[(TCP_IN, &[(443, (150, 2)), (80, (10, 1))])]));
}

#[test]
fn what_was_removed_is_forgotten_and_nothing_else() {
    let incoming = (NftSet::OtherIp(Direction::Ingress), [(2, (7, 1)), (10, (8, 1))]);
    let mut all = values(&[
        (TCP_IN, &[(SENTINEL, SENTINEL_START), (2, (4, 1)), (443, (5, 1))]),
        (NftSet::Blocked(Direction::Ingress), &[(SENTINEL, SENTINEL_START), (443, (9, 1)), (8388, (2, 1))]),
        (incoming.0, &incoming.1),
    ]);
    (all.cut, all.still) = ([443, 8388].into(), [2, 8388].into());
    assert_eq!(all.refused(), [443, 8388].into());
    // Port 2 has the number of the family IPv4.
    all.forget(&[2, 443].into());
    let mut rest = values(&[
        (TCP_IN, &[(SENTINEL, SENTINEL_START)]),
        (NftSet::Blocked(Direction::Ingress), &[(SENTINEL, SENTINEL_START), (8388, (2, 1))]),
        (incoming.0, &incoming.1),
    ]);
    (rest.cut, rest.still) = ([8388].into(), [8388].into());
    assert_eq!(all, rest);
}

#[test]
fn nothing_was_counted_while_sentinels_have_what_they_started_with() {
    let of_tcp = |counts: &[(u16, BytesPackets)]| values(&[(TCP_IN, counts)]);
    let one_more = (SENTINEL_START.0 + 40, SENTINEL_START.1 + 1);
    assert!(of_tcp(&[(SENTINEL, SENTINEL_START), (443, (0, 0))]).is_zero());
    assert!(!of_tcp(&[(SENTINEL, SENTINEL_START), (443, (40, 1))]).is_zero());
    assert!(!of_tcp(&[(SENTINEL, one_more), (443, (0, 0))]).is_zero());
}
