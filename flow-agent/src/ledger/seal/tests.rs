use super::*;

#[test]
fn the_sums_are_the_standard_ones() {
    // RFC 3720, B.4 for 32 zero bytes, and FIPS 180-2 for "abc".
    assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn a_check_holds_until_a_byte_changes() {
    let line = with_check(r#"{"v":1,"kind":"seal"}"#);
    assert_eq!(check_holds(&line), Some(true));
    assert_eq!(check_holds(&line.replace("seal", "sea1")), Some(false));
    assert_eq!(check_holds(r#"{"v":1}"#), None);
}
