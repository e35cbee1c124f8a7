use super::*;
use crate::backend::netlink::nftables::counter_of_one;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    push_attribute(&mut body, kind, value);
    body
}

#[test]
fn a_dump_of_a_set_has_ports_and_their_counters() {
    let element = |key: &[u8], counter: &[u8]| {
        let key = attribute(NFTA_SET_ELEM_KEY | NLA_F_NESTED, &attribute(NFTA_DATA_VALUE, key));
        attribute(NFTA_LIST_ELEM | NLA_F_NESTED, &[key, counter.to_vec()].concat())
    };
    let counted = attribute(NFTA_SET_ELEM_EXPR | NLA_F_NESTED, &counter_of_one());
    // Port 443 is 0x01bb on the wire. Keys of other sizes belong to sets of somebody else.
    let commented = [counted.clone(), attribute(NFTA_SET_ELEM_USERDATA, b"c")].concat();
    let list = [element(&[0x01, 0xbb], &commented), element(&[10], &[]), element(&[1, 2, 3], &counted)].concat();
    let body = [&[1, 0, 0, 0][..], &attribute(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, &list)].concat();
    let port = SetElement { key: 443, bytes_packets: Some((1, 1)), has_comment: true };
    assert_eq!(elements(&body), [port, SetElement { key: 10, bytes_packets: None, has_comment: false }]);
}
