//! Puts frames on the wire from the peer to the host, with a packet socket.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;

use crate::common::frames::{ethernet, padded};
use crate::common::netns::{LAN, Pair, WAN, inside, run};
use crate::support::index_of;

/// The EtherType of IPv4.
pub const IPV4: u16 = 0x0800;

/// A frame to `destination`, padded to the 60 bytes that real Ethernet requires.
pub fn frame_to(destination: [u8; 6], ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = padded(ethernet(ether_type, packet));
    frame[..6].copy_from_slice(&destination);
    frame
}

/// An IPv4 datagram to the host's `port` with `payload` bytes after its 28 bytes of headers.
pub fn datagram(port: u16, payload: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((28 + payload).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 99, 0, 1, 10, 99, 0, 2]);
    let sum: u32 = packet.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    packet.extend(5_000_u16.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend((8 + payload).to_be_bytes());
    packet.extend([0, 0]);
    packet.resize(28 + usize::from(payload), b'x');
    packet
}

/// The hardware address of the host's WAN.
pub fn host_address(pair: &Pair) -> [u8; 6] {
    let text = run(Command::new("ip").args(["-n", &pair.host, "-j", "link", "show", "dev", WAN]));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let octets = json[0]["address"].as_str().unwrap().split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap());
    octets.collect::<Vec<_>>().try_into().unwrap()
}

/// Puts the frame on the wire from the peer to the host, `count` times.
pub fn put(pair: &Pair, frame: &[u8], count: usize) {
    inside(&pair.peer, || {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: 0,
            sll_ifindex: index_of(LAN).cast_signed(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 6,
            sll_addr: [0; 8],
        };
        // SAFETY: a system call without pointers.
        let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
        assert!(socket >= 0, "{}", io::Error::last_os_error());
        // SAFETY: the kernel has just created it for us.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        for _ in 0..count {
            // SAFETY: frame and address live until the call returns and are as long as stated.
            let sent = unsafe {
                libc::sendto(
                    socket.as_raw_fd(),
                    frame.as_ptr().cast(),
                    frame.len(),
                    0,
                    (&raw const address).cast(),
                    size_of::<libc::sockaddr_ll>() as libc::socklen_t,
                )
            };
            assert_eq!(usize::try_from(sent).ok(), Some(frame.len()), "{}", io::Error::last_os_error());
        }
    });
}
