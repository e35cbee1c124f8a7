use proptest::prelude::*;

use super::*;

fn set_of(ports: &[u16]) -> BTreeSet<u16> {
    ports.iter().copied().collect()
}

#[test]
fn ports_ranges_and_sets_are_read() {
    assert_eq!(range("443"), Ok(443..=443));
    assert_eq!(range(" 8000 - 8002 "), Ok(8000..=8002));
    assert_eq!(set("443, 8000-8002;53 443"), Ok(set_of(&[53, 443, 8000, 8001, 8002])));
    assert_eq!(set("1-65535").map(|ports| ports.len()), Ok(65_535));
}

#[test]
fn what_is_no_port_is_named() {
    let message = |text: &str| set(text).unwrap_err().to_string();
    assert_eq!(message("0"), "port 0 is out of range, expected 1 to 65535");
    assert_eq!(message("443,70000"), "port 70000 is out of range, expected 1 to 65535");
    assert_eq!(message("99999999999999999999"), "port 99999999999999999999 is out of range, expected 1 to 65535");
    assert_eq!(message("8100-8000"), "range 8100-8000 is reversed, expected 8000-8100");
    for text in ["http", "-1", "+443", "443-", "1-2-3", "4.5", "٤٤٣"] {
        assert_eq!(message(text), format!("{text:?} is not a port, expected 1 to 65535 or a range such as 8000-8100"));
    }
    assert_eq!(message(" , "), "no port given, expected ports or ranges such as 443 or 8000-8100");
}

#[test]
fn a_text_is_as_short_as_it_can_be() {
    assert_eq!(text([8001, 443, 8000, 8002, 65_535, 65_534]), "443,8000-8002,65534-65535");
    assert_eq!(text([]), "");
}

proptest! {
    #[test]
    fn every_set_comes_back_from_its_text(ports in prop::collection::btree_set(1_u16.., 1..200)) {
        prop_assert_eq!(set(&text(ports.iter().copied())), Ok(ports));
    }
}
