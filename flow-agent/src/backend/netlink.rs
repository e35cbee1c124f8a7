//! EDGE kernel: synchronous requests to rtnetlink and nf_tables in the network namespace of the calling thread.
//!
//! Only the few fields that the backend needs are read, so attributes that newer kernels add do no harm.

mod devices;
mod events;
mod filters;
mod nftables;
mod set_elements;
mod sockets;

pub use devices::{default_routes, device, devices, interfaces, route, with_addresses};
pub use events::InterfaceEvents;
pub use filters::{
    Filter, add_clsact, delete_clsact, delete_filter, filters, filters_at_hook, ingress_qdisc, ingress_qdiscs,
    set_filter,
};
pub use flow_common::frame::Direction;
pub use nftables::{
    TableFacts, add_counting_rule, base_chains, delete_table, has_table, remove_unused, ruleset_generation,
    table_facts, table_handle, tables,
};
pub use set_elements::{PortChange, PortChangeKind, SetElement, add_counted_zeros, change_ports, set_elements};
pub use sockets::close_connections;

use std::io;
use std::os::fd::OwnedFd;

use netlink_packet_core::{NLA_TYPE_MASK, NetlinkBuffer, NlasIterator};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

// include/uapi/linux/netlink.h
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// The size of `struct nlmsghdr`.
const NETLINK_HEADER_LEN: usize = 16;
/// How often to repeat a dump that changed while it was read, before using it as it is.
const ATTEMPTS: u32 = 5;

/// Larger than any message that the kernel builds for a dump.
const BUFFER_BYTES: usize = 64 * 1024;

/// The bodies of messages with their types.
type Bodies = Vec<(u16, Vec<u8>)>;

/// A request under construction: the body of one message.
struct Request {
    /// `None` means rtnetlink.
    protocol: Option<Protocol>,
    message_type: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Request {
    fn new(message_type: u16, flags: u16, header: &[u8]) -> Self {
        Self { protocol: None, message_type, flags, body: header.to_vec() }
    }

    /// Appends an attribute.
    fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        push_attribute(&mut self.body, kind, value);
        self
    }

    /// Sends the request and returns the bodies of the answers with their types.
    fn ask(&self) -> io::Result<Bodies> {
        let mut attempt = 1;
        loop {
            let (answers, interrupted) = self.ask_once()?;
            if !interrupted || attempt == ATTEMPTS {
                return Ok(answers);
            }
            attempt += 1;
        }
    }

    fn ask_once(&self) -> io::Result<(Bodies, bool)> {
        let answers = exchange(self.protocol, &self.encode())?;
        Ok((answers.bodies, answers.interrupted))
    }

    fn encode(&self) -> Vec<u8> {
        let length = NETLINK_HEADER_LEN + self.body.len();
        let mut bytes = vec![0; length];
        let mut packet = NetlinkBuffer::new(&mut bytes);
        packet.set_length(u32::try_from(length).expect("requests are short"));
        packet.set_message_type(self.message_type);
        packet.set_flags(NLM_F_REQUEST | self.flags);
        bytes[NETLINK_HEADER_LEN..].copy_from_slice(&self.body);
        bytes
    }
}

/// The answers to one request, collected as they arrive.
#[derive(Default)]
struct Answers {
    bodies: Bodies,
    complete: bool,
    interrupted: bool,
}

impl Answers {
    fn take(&mut self, mut datagram: &[u8]) -> io::Result<()> {
        while !datagram.is_empty() {
            let packet = NetlinkBuffer::new_checked(datagram).map_err(io::Error::other)?;
            self.interrupted |= packet.flags() & NLM_F_DUMP_INTR != 0;
            let payload = packet.payload();
            match packet.message_type() {
                // The first field is the negated error number. Zero is an acknowledgement.
                NLMSG_ERROR => match read_u32(payload, 0).map(u32::cast_signed) {
                    Some(0) => self.complete = true,
                    Some(code) => return Err(io::Error::from_raw_os_error(code.saturating_neg())),
                    None => return Err(io::Error::other("an error without a code")),
                },
                // The end of a dump holds an error if the kernel could not continue it. Half a dump is not used.
                NLMSG_DONE => match read_u32(payload, 0).map(u32::cast_signed) {
                    Some(code @ ..0) => return Err(io::Error::from_raw_os_error(code.saturating_neg())),
                    Some(0..) | None => self.complete = true,
                },
                message_type => self.bodies.push((message_type, payload.to_vec())),
            }
            let aligned = (packet.length() as usize).next_multiple_of(4).min(datagram.len());
            datagram = &datagram[aligned..];
        }
        Ok(())
    }
}

/// Sends messages and returns the answers to the last of them, up to its acknowledgement or the end of the dump.
fn exchange(protocol: Option<Protocol>, messages: &[u8]) -> io::Result<Answers> {
    let socket = open(protocol, 0, SocketFlags::CLOEXEC)?;
    send(&socket, messages, SendFlags::empty())?;
    let mut answers = Answers::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    while !answers.complete {
        let (_, length) = recv(&socket, buffer.as_mut_slice(), RecvFlags::TRUNC)?;
        let datagram = buffer.get(..length).ok_or_else(|| io::Error::other("an answer was cut short"))?;
        answers.take(datagram)?;
    }
    Ok(answers)
}

/// Opens a socket of `protocol` (`None` means rtnetlink) that receives the multicast `groups` (a bit mask).
fn open(protocol: Option<Protocol>, groups: u32, flags: SocketFlags) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

fn push_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).expect("attributes are short");
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The attributes after a header of `skip` bytes. A malformed attribute ends the list.
fn attributes(body: &[u8], skip: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let attributes = body.get(skip..).unwrap_or_default();
    NlasIterator::new(attributes).map_while(Result::ok).map(move |attribute| {
        let start = attribute.into_inner();
        let length = usize::from(u16::from_ne_bytes([start[0], start[1]]));
        (u16::from_ne_bytes([start[2], start[3]]) & NLA_TYPE_MASK, &start[4..length])
    })
}

fn read_u16(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

fn read_u64(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?))
}

/// A C string in an attribute.
fn read_text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests;
