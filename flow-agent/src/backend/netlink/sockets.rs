//! EDGE kernel: closes TCP connections of local ports with a reset to both ends, like `ss -K`.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::netlink::SOCK_DIAG;

use super::{NLM_F_ACK, NLM_F_DUMP, Request};

// include/uapi/linux/sock_diag.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;

const IPPROTO_TCP: u8 = 6;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Bits of `enum tcp_state`: all states except LISTEN, CLOSE, and those without a full socket (TIME_WAIT,
/// NEW_SYN_RECV).
const CONNECTED: u32 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;

/// The size of `struct inet_diag_sockid`, and its offset in `struct inet_diag_msg`.
const ID_LEN: usize = 48;
const ID_OFFSET: usize = 4;

/// A connection in the kernel's representation.
type Id = [u8; ID_LEN];

/// Closes at most `most` TCP connections of these local ports and returns how many were closed. Connections of this
/// host with itself are kept.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] if the kernel was built without `CONFIG_INET_DIAG_DESTROY`; other errors when it
/// refuses.
pub fn close_connections(ports: &BTreeSet<u16>, most: usize) -> io::Result<usize> {
    let mut closed = 0;
    for family in [AF_INET, AF_INET6] {
        let connections = request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family, &[0; ID_LEN]).ask()?;
        let ids = connections.iter().filter_map(|(_, body)| body.get(ID_OFFSET..ID_OFFSET + ID_LEN)?.try_into().ok());
        for id in ids.filter(|id| ports.contains(&local_port(id)) && !is_with_itself(family, id)) {
            if closed == most {
                return Ok(closed);
            }
            match request(SOCK_DESTROY, NLM_F_ACK, family, &id).ask() {
                Ok(_) => closed += 1,
                // The connection has been closed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(closed)
}

/// Builds a `struct inet_diag_req_v2`.
fn request(message_type: u16, flags: u16, family: u8, id: &Id) -> Request {
    let mut body = vec![family, IPPROTO_TCP, 0, 0];
    body.extend(CONNECTED.to_ne_bytes());
    body.extend(id);
    Request { protocol: Some(SOCK_DIAG), message_type, flags, body }
}

fn local_port(id: &Id) -> u16 {
    u16::from_be_bytes([id[0], id[1]])
}

/// Whether the other end is a loopback address, or the same address as this end.
fn is_with_itself(family: u8, id: &Id) -> bool {
    let address = |at: usize| match family {
        AF_INET => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(&id[at..at + 4]).expect("four bytes"))),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&id[at..at + 16]).expect("sixteen bytes"))).to_canonical(),
    };
    let (own, other) = (address(4), address(20));
    other.is_loopback() || other == own
}

#[cfg(test)]
mod tests;
