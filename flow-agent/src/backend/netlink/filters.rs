//! The clsact qdisc and its filters, for kernels without TCX.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use flow_common::frame::Direction;

use super::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, Request, attributes, push_attribute, read_text, read_u32,
};

// include/uapi/linux/rtnetlink.h, pkt_sched.h, pkt_cls.h
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;
const TC_H_CLSACT: u32 = 0xffff_fff1;
const TC_H_MIN_INGRESS: u32 = 0xfff2;
const TC_H_MIN_EGRESS: u32 = 0xfff3;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
const NLA_F_NESTED: u16 = 0x8000;
const ETH_P_ALL: u16 = 3;
/// The size of `struct tcmsg`: family, padding, index (at 4), handle (at 8), parent (at 12), info (at 16).
const TC_HEADER: usize = 20;

/// The priority of our filters, which is the first.
const PRIORITY: u16 = 1;
/// The handle of our filters. It is fixed so that a restart replaces a filter instead of adding one ("fa" as
/// hexadecimal).
const HANDLE: u32 = 0xfa;

/// The parent handle of the filters in one direction.
fn parent(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => CLSACT_HANDLE | TC_H_MIN_INGRESS,
        Direction::Egress => CLSACT_HANDLE | TC_H_MIN_EGRESS,
    }
}

/// A filter on clsact. The kernel lists filters in the order in which packets meet them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub priority: u16,
    pub handle: u32,
    /// `bpf`, `flower`, …
    pub kind: String,
    /// The name given by whoever made the filter. Only `bpf` filters have one.
    pub name: String,
    /// The program's id. Only `bpf` filters have one.
    pub program: u32,
}

impl Filter {
    /// Whether it has the priority, handle and kind of our filters.
    pub fn is_at_our_place(&self) -> bool {
        (self.priority, self.handle, self.kind.as_str()) == (PRIORITY, HANDLE, "bpf")
    }

    /// Whether it prevents us from adding our filter: all filters of one priority must be of the same kind.
    pub fn blocks_our_place(&self) -> bool {
        self.priority == PRIORITY && self.kind != "bpf"
    }
}

/// The kind of the qdisc at each device's ingress hook, by index: `clsact` or `ingress`. The kernel only lists the
/// qdiscs of all devices at once, so callers that need many devices should ask once.
///
/// # Errors
/// When the kernel does not answer.
pub fn ingress_qdiscs() -> io::Result<BTreeMap<u32, String>> {
    let answers = Request::new(RTM_GETQDISC, NLM_F_DUMP, &header(0, 0, 0, 0)).ask()?;
    let at_ingress =
        answers.iter().filter(|(kind, body)| *kind == RTM_NEWQDISC && read_u32(body, 8) == Some(CLSACT_HANDLE));
    Ok(at_ingress.filter_map(|(_, body)| Some((read_u32(body, 4)?, text(body, TCA_KIND)?))).collect())
}

/// The kind of the qdisc at one device's ingress hook.
///
/// # Errors
/// When the kernel does not answer.
pub fn ingress_qdisc(index: u32) -> io::Result<Option<String>> {
    Ok(ingress_qdiscs()?.remove(&index))
}

/// Adds the clsact qdisc. Fails with `EEXIST` if another qdisc is there.
///
/// # Errors
/// When the kernel refuses.
pub fn add_clsact(index: u32) -> io::Result<()> {
    let header = header(index, CLSACT_HANDLE, TC_H_CLSACT, 0);
    let mut request = Request::new(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &header);
    request.attribute(TCA_KIND, b"clsact\0").ask().map(drop)
}

/// Removes the clsact qdisc and every filter on it.
///
/// # Errors
/// When the kernel refuses.
pub fn delete_clsact(index: u32) -> io::Result<()> {
    let header = header(index, CLSACT_HANDLE, TC_H_CLSACT, 0);
    Request::new(RTM_DELQDISC, NLM_F_ACK, &header).ask().map(drop)
}

/// The filters of one direction in the order in which packets meet them. Empty if there is no clsact or no device.
///
/// # Errors
/// When the kernel does not answer.
pub fn filters(index: u32, direction: Direction) -> io::Result<Vec<Filter>> {
    let filters = filters_at_hook(index, direction)?;
    if filters.is_empty() || ingress_qdisc(index)?.as_deref() == Some("clsact") {
        return Ok(filters);
    }
    Ok(Vec::new())
}

/// Like [`filters`], for any kind of qdisc. An `ingress` qdisc has only one direction; the kernel lists its filters
/// even when asked for the other direction.
///
/// # Errors
/// When the kernel does not answer.
pub fn filters_at_hook(index: u32, direction: Direction) -> io::Result<Vec<Filter>> {
    let header = header(index, 0, parent(direction), 0);
    let answers = match Request::new(RTM_GETTFILTER, NLM_F_DUMP, &header).ask() {
        Ok(answers) => answers,
        // The qdisc or the device has gone away meanwhile.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(answers
        .iter()
        .filter(|(kind, _)| *kind == RTM_NEWTFILTER)
        .filter_map(|(_, body)| filter(body))
        // A priority is listed once without a handle, and then once for each of its filters.
        .filter(|filter| filter.handle != 0)
        .collect())
}

/// Puts `program` at our place with the name `name`, either as a new filter or, with `replace`, atomically instead of
/// the present one.
///
/// # Errors
/// When the kernel refuses.
pub fn set_filter(
    index: u32,
    direction: Direction,
    program: BorrowedFd<'_>,
    name: &str,
    replace: bool,
) -> io::Result<()> {
    let flags = NLM_F_ACK | if replace { 0 } else { NLM_F_CREATE | NLM_F_EXCL };
    let mut options = Vec::new();
    push_attribute(&mut options, TCA_BPF_FD, &program.as_raw_fd().to_ne_bytes());
    push_attribute(&mut options, TCA_BPF_NAME, &[name.as_bytes(), &[0]].concat());
    push_attribute(&mut options, TCA_BPF_FLAGS, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes());
    let mut request = Request::new(RTM_NEWTFILTER, flags, &our_header(index, direction));
    request.attribute(TCA_KIND, b"bpf\0").attribute(TCA_OPTIONS | NLA_F_NESTED, &options).ask().map(drop)
}

/// Removes the filter at our place.
///
/// # Errors
/// When the kernel refuses.
pub fn delete_filter(index: u32, direction: Direction) -> io::Result<()> {
    let mut request = Request::new(RTM_DELTFILTER, NLM_F_ACK, &our_header(index, direction));
    request.attribute(TCA_KIND, b"bpf\0").ask().map(drop)
}

fn our_header(index: u32, direction: Direction) -> [u8; TC_HEADER] {
    let info = u32::from(PRIORITY) << 16 | u32::from(ETH_P_ALL.to_be());
    header(index, HANDLE, parent(direction), info)
}

fn header(index: u32, handle: u32, parent: u32, info: u32) -> [u8; TC_HEADER] {
    let mut bytes = [0; TC_HEADER];
    for (field, value) in bytes[4..].chunks_exact_mut(4).zip([index, handle, parent, info]) {
        field.copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

fn filter(body: &[u8]) -> Option<Filter> {
    let options = attributes(body, TC_HEADER).find(|(kind, _)| *kind == TCA_OPTIONS).map(|(_, value)| value);
    let option = |wanted| attributes(options.unwrap_or_default(), 0).find(|(kind, _)| *kind == wanted);
    Some(Filter {
        priority: u16::try_from(read_u32(body, 16)? >> 16).expect("16 bits are left"),
        handle: read_u32(body, 8)?,
        kind: text(body, TCA_KIND)?,
        name: option(TCA_BPF_NAME).map(|(_, value)| read_text(value)).unwrap_or_default(),
        program: option(TCA_BPF_ID).and_then(|(_, value)| read_u32(value, 0)).unwrap_or_default(),
    })
}

fn text(body: &[u8], wanted: u16) -> Option<String> {
    attributes(body, TC_HEADER).find(|(kind, _)| *kind == wanted).map(|(_, value)| read_text(value))
}

#[cfg(test)]
mod tests;
