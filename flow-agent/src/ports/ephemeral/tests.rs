use super::*;

#[test]
fn the_kernels_files_are_understood() {
    assert_eq!(parse_range("32768\t60999\n"), Some(32_768..=60_999));
    assert_eq!(parse_range("32768\n"), None);
    assert_eq!(parse_reserved("\n"), Some(BTreeSet::new()));
    assert_eq!(parse_reserved("8388,40000-40002\n"), Some(BTreeSet::from([8388, 40_000, 40_001, 40_002])));
    let ephemeral = Ephemeral::read();
    assert!(ephemeral.range.start() < ephemeral.range.end());
}

#[test]
fn a_reserved_port_is_not_taken() {
    let ephemeral = Ephemeral { range: 32_768..=60_999, reserved: BTreeSet::from([40_000]) };
    assert!(ephemeral.may_take(32_768) && ephemeral.may_take(60_999));
    assert!(!ephemeral.may_take(40_000) && !ephemeral.may_take(443) && !ephemeral.may_take(61_000));
}
