use super::*;

#[test]
fn connections_of_the_host_with_itself_are_told_apart() {
    let id = |own: IpAddr, other: IpAddr| {
        let mut id = [0; ID_LEN];
        id[..2].copy_from_slice(&8388_u16.to_be_bytes());
        for (at, address) in [(4, own), (20, other)] {
            match address {
                IpAddr::V4(address) => id[at..at + 4].copy_from_slice(&address.octets()),
                IpAddr::V6(address) => id[at..at + 16].copy_from_slice(&address.octets()),
            }
        }
        id
    };
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    for (family, own, other, with_itself) in [
        (AF_INET, "192.0.2.1", "192.0.2.2", false),
        (AF_INET, "192.0.2.1", "192.0.2.1", true),
        (AF_INET, "127.0.0.1", "127.0.0.2", true),
        (AF_INET6, "2001:db8::1", "2001:db8::2", false),
        (AF_INET6, "::1", "::1", true),
        (AF_INET6, "::ffff:192.0.2.1", "::ffff:127.0.0.1", true),
    ] {
        let id = id(address(own), address(other));
        assert_eq!((local_port(&id), is_with_itself(family, &id)), (8388, with_itself), "{own} {other}");
    }
}
