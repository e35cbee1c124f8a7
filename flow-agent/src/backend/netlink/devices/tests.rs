use super::*;
use crate::backend::netlink::push_attribute;

fn route(destination_length: u8, table: u8, route_type: u8) -> Vec<u8> {
    vec![AF_INET, destination_length, 0, 0, table, 0, 0, route_type, 0, 0, 0, 0]
}

#[test]
fn a_default_route_of_any_table_tells_its_device() {
    for table in [254, 252, 100] {
        let mut body = route(0, table, RTN_UNICAST);
        push_attribute(&mut body, RTA_OIF, &7_u32.to_ne_bytes());
        assert_eq!(leaves(&body).devices, [7]);
    }
}

#[test]
fn other_prefixes_and_types_are_no_default_routes() {
    for mut body in [route(24, 254, RTN_UNICAST), route(0, 254, 7)] {
        push_attribute(&mut body, RTA_OIF, &7_u32.to_ne_bytes());
        push_attribute(&mut body, RTA_NH_ID, &3_u32.to_ne_bytes());
        assert_eq!(leaves(&body), Leaves::default());
    }
}

#[test]
fn a_next_hop_object_is_followed_to_its_devices() {
    let mut body = route(0, 254, RTN_UNICAST);
    push_attribute(&mut body, RTA_NH_ID, &3_u32.to_ne_bytes());
    assert_eq!(leaves(&body), Leaves { devices: Vec::new(), object: Some(3) });
    let mut group = vec![0; NEXT_HOP_OBJECT_HEADER];
    push_attribute(&mut group, NHA_ID, &3_u32.to_ne_bytes());
    push_attribute(&mut group, NHA_GROUP, &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0]);
    let mut hops = vec![next_hop(&group).unwrap()];
    for (id, device) in [(1_u32, 17_u32), (2, 18), (4, 19)] {
        let mut single = vec![0; NEXT_HOP_OBJECT_HEADER];
        push_attribute(&mut single, NHA_ID, &id.to_ne_bytes());
        push_attribute(&mut single, NHA_OIF, &device.to_ne_bytes());
        hops.push(next_hop(&single).unwrap());
    }
    assert_eq!(devices_of(&[3].into(), &hops), [17, 18]);
    assert_eq!(devices_of(&[4].into(), &hops), [19]);
}

#[test]
fn every_next_hop_of_a_multipath_route_counts() {
    // Two hops; the first has an attribute of 8 bytes (RTA_GATEWAY) behind its header.
    let mut hops = vec![16, 0, 0, 0, 3, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 1];
    hops.extend([8, 0, 0, 0, 9, 0, 0, 0]);
    let mut body = route(0, 254, RTN_UNICAST);
    push_attribute(&mut body, RTA_MULTIPATH, &hops);
    assert_eq!(leaves(&body).devices, [3, 9]);
}

#[test]
fn a_device_is_its_index_type_and_name() {
    let mut body = vec![0; LINK_HEADER];
    body[2..4].copy_from_slice(&772_u16.to_ne_bytes());
    body[4..8].copy_from_slice(&1_u32.to_ne_bytes());
    push_attribute(&mut body, IFLA_IFNAME, b"lo\0");
    let loopback = interface(&body, &[1].into()).unwrap();
    assert_eq!((loopback.index, loopback.name.as_str(), loopback.device_type), (1, "lo", 772));
    assert!(loopback.default_route);
    assert_eq!((loopback.kind.as_str(), loopback.below, loopback.master), ("", None, None));
}

#[test]
fn a_stacked_device_tells_what_is_below_unless_that_is_in_another_namespace() {
    let mut body = vec![0; LINK_HEADER];
    body[4..8].copy_from_slice(&9_u32.to_ne_bytes());
    push_attribute(&mut body, IFLA_IFNAME, b"mv0\0");
    push_attribute(&mut body, IFLA_LINK, &3_u32.to_ne_bytes());
    push_attribute(&mut body, IFLA_MASTER, &4_u32.to_ne_bytes());
    let mut info = Vec::new();
    push_attribute(&mut info, IFLA_INFO_KIND, b"macvlan\0");
    push_attribute(&mut body, IFLA_LINKINFO, &info);
    let stacked = interface(&body, &BTreeSet::new()).unwrap();
    assert_eq!((stacked.kind.as_str(), stacked.below, stacked.master), ("macvlan", Some(3), Some(4)));
    push_attribute(&mut body, IFLA_LINK_NETNSID, &0_u32.to_ne_bytes());
    assert_eq!(interface(&body, &BTreeSet::new()).unwrap().below, None);
}

#[test]
fn the_kernel_lists_loopback() {
    let interfaces = interfaces(&BTreeSet::new()).unwrap();
    let loopback = interfaces.iter().find(|interface| interface.name == "lo").unwrap();
    assert_eq!(loopback.device_type, 772);
    assert_eq!(device(loopback.index).unwrap().unwrap().name, "lo");
    assert!(device(u32::MAX >> 1).unwrap().is_none());
    assert_eq!(devices().unwrap()[&loopback.index].name, "lo");
    default_routes().unwrap();
}
