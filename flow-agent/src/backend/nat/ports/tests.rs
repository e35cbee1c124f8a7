use super::*;

#[test]
fn ranges_are_joined_and_shown() {
    assert_eq!(PortSet::of([(443, 443)]).to_string(), "port 443");
    assert_eq!(PortSet::of([(8_005, 8_010), (80, 80), (8_000, 8_004)]).to_string(), "ports 80,8000-8010");
    assert_eq!(PortSet::every().to_string(), "every port");
}

#[test]
fn what_is_not_in_it_is_in_its_complement() {
    for ranges in [
        vec![],
        vec![(0, u16::MAX)],
        vec![(0, 5), (9, 9)],
        vec![(22, 22)],
        vec![(0, 79), (81, u16::MAX)],
        vec![(3, u16::MAX)],
    ] {
        let set = PortSet::of(ranges);
        let complement = set.complement();
        assert!((0..=u16::MAX).all(|port| set.contains(port) != complement.contains(port)), "{set:?}");
        assert_eq!(set.and(&complement), PortSet::of([]));
    }
}

#[test]
fn what_is_in_both_is_in_both() {
    let both = PortSet::of([(1, 100), (200, 300)]).and(&PortSet::of([(50, 250), (300, 400)]));
    assert_eq!(both, PortSet::of([(50, 100), (200, 250), (300, 300)]));
}
