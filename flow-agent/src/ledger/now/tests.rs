use super::*;

#[test]
fn rates_add_up_where_both_are_known() {
    let one = Rates {
        in_1s: Some(1),
        out_1s: Some(2),
        in_10s: Some(3),
        out_10s: None,
        in_60s: Some(u64::MAX),
        out_60s: Some(6),
    };
    let other =
        Rates { in_1s: Some(10), out_1s: Some(20), in_10s: None, out_10s: None, in_60s: Some(50), out_60s: Some(60) };
    let sum = Rates {
        in_1s: Some(11),
        out_1s: Some(22),
        in_10s: None,
        out_10s: None,
        in_60s: Some(u64::MAX),
        out_60s: Some(66),
    };
    assert_eq!(one.plus(other), sum);
}
