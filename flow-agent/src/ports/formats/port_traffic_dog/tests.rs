use super::*;

#[test]
fn units_are_binary() {
    assert_eq!(binary_bytes("500GB"), Some(500 << 30));
    assert_eq!(binary_bytes("1.5 TB"), Some(3 << 39));
    assert_eq!(binary_bytes("100M"), Some(100 << 20));
    assert_eq!(binary_bytes("0GB"), None);
    assert_eq!(binary_bytes("many"), None);
}
