//! The elements of nf_tables sets, with their counters.

use std::collections::BTreeSet;
use std::io;
use std::thread;
use std::time::Duration;

use super::nftables::{HEADER, change, counter_from, header, read_counter, text};
use super::{ATTEMPTS, NLM_F_CREATE, NLM_F_DUMP, Request, attributes, push_attribute};

// include/uapi/linux/netfilter/nf_tables.h
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_GETSETELEM: u16 = 13;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_USERDATA: u16 = 6;
const NFTA_SET_ELEM_EXPR: u16 = 7;
const NFTA_DATA_VALUE: u16 = 1;
const NLA_F_NESTED: u16 = 0x8000;

/// How many elements a message has at most. Its length must fit into 16 bits.
const ELEMENTS_IN_A_MESSAGE: usize = 512;

/// The pause before a dump that changed while it was read is repeated.
const PAUSE: Duration = Duration::from_millis(5);

/// An element of a set whose keys have one or two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetElement {
    /// A port in host byte order, or an address family.
    pub key: u16,
    /// Its counter, if it has one.
    pub bytes_packets: Option<(u64, u64)>,
    /// Whether it has a comment.
    pub has_comment: bool,
}

/// All elements of a set; `None` if there is no such set. Every element is there once, as the set was at one time.
///
/// # Errors
/// When the ruleset changes during every attempt, when the privilege is missing, or when the kernel does not answer.
pub fn set_elements(family: u8, table: &str, set: &str) -> io::Result<Option<Vec<SetElement>>> {
    let mut request = header(NFT_MSG_GETSETELEM, NLM_F_DUMP, family);
    request.attribute(NFTA_SET_ELEM_LIST_TABLE, &text(table)).attribute(NFTA_SET_ELEM_LIST_SET, &text(set));
    for _ in 0..ATTEMPTS {
        let (bodies, interrupted) = match request.ask_once() {
            Ok(answers) => answers,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !interrupted {
            return Ok(Some(bodies.iter().flat_map(|(_, body)| elements(body)).collect()));
        }
        thread::sleep(PAUSE);
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "the ruleset changes all the time"))
}

/// Adds the element zero, with a counter that starts at these bytes and packets, to each of `sets`, which have keys of
/// the given number of bytes. (`nft` 1.0.6 ignores counters of elements in JSON.)
///
/// # Errors
/// When there is no such set, or the privilege is missing.
pub fn add_counted_zeros(
    family: u8,
    table: &str,
    sets: &[(String, usize)],
    (bytes, packets): (u64, u64),
) -> io::Result<()> {
    let requests = sets.iter().map(|(set, key_bytes)| {
        let mut element = element_of(&vec![0; *key_bytes]);
        push_attribute(&mut element, NFTA_SET_ELEM_EXPR | NLA_F_NESTED, &counter_from(bytes, packets));
        let mut list = Vec::new();
        push_attribute(&mut list, NFTA_LIST_ELEM | NLA_F_NESTED, &element);
        on_set(NFT_MSG_NEWSETELEM, family, table, set, &list)
    });
    change(requests.collect())
}

/// Ports to be added to a set or deleted from it.
pub struct PortChange<'a> {
    pub set: String,
    pub ports: &'a BTreeSet<u16>,
    pub kind: PortChangeKind,
}

/// What is done with the ports of a [`PortChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChangeKind {
    Add,
    /// Each port gets a counter, which starts at zero.
    AddCounted,
    Delete,
}

/// Makes all `changes` or none. `nft` would first read every set of the host, which takes seconds beside a large one.
///
/// # Errors
/// When there is no such set, when a port to be deleted is not there, or when the privilege is missing.
pub fn change_ports(family: u8, table: &str, changes: &[PortChange]) -> io::Result<()> {
    let mut requests = Vec::new();
    for PortChange { set, ports, kind } in changes {
        let message = match kind {
            PortChangeKind::Add | PortChangeKind::AddCounted => NFT_MSG_NEWSETELEM,
            PortChangeKind::Delete => NFT_MSG_DELSETELEM,
        };
        let ports: Vec<u16> = ports.iter().copied().collect();
        for ports in ports.chunks(ELEMENTS_IN_A_MESSAGE) {
            let mut list = Vec::new();
            for port in ports {
                let mut element = element_of(&port.to_be_bytes());
                if *kind == PortChangeKind::AddCounted {
                    push_attribute(&mut element, NFTA_SET_ELEM_EXPR | NLA_F_NESTED, &counter_from(0, 0));
                }
                push_attribute(&mut list, NFTA_LIST_ELEM | NLA_F_NESTED, &element);
            }
            requests.push(on_set(message, family, table, set, &list));
        }
    }
    change(requests)
}

/// An element with this key and nothing else.
fn element_of(key: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    push_attribute(&mut data, NFTA_DATA_VALUE, key);
    let mut element = Vec::new();
    push_attribute(&mut element, NFTA_SET_ELEM_KEY | NLA_F_NESTED, &data);
    element
}

/// A message about a list of elements of a set.
fn on_set(message: u16, family: u8, table: &str, set: &str, list: &[u8]) -> Request {
    let flags = if message == NFT_MSG_NEWSETELEM { NLM_F_CREATE } else { 0 };
    let mut request = header(message, flags, family);
    request.attribute(NFTA_SET_ELEM_LIST_TABLE, &text(table)).attribute(NFTA_SET_ELEM_LIST_SET, &text(set));
    request.attribute(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, list);
    request
}

fn elements(body: &[u8]) -> Vec<SetElement> {
    let lists = attributes(body, HEADER).filter(|(kind, _)| *kind == NFTA_SET_ELEM_LIST_ELEMENTS);
    lists.flat_map(|(_, list)| attributes(list, 0)).filter_map(|(_, element)| read_element(element)).collect()
}

fn read_element(element: &[u8]) -> Option<SetElement> {
    let (mut found, mut bytes_packets, mut has_comment) = (None, None, false);
    for (kind, value) in attributes(element, 0) {
        match kind {
            NFTA_SET_ELEM_KEY => found = attributes(value, 0).find(|(kind, _)| *kind == NFTA_DATA_VALUE),
            NFTA_SET_ELEM_EXPR => bytes_packets = read_counter(value),
            NFTA_SET_ELEM_USERDATA => has_comment = true,
            _ => {}
        }
    }
    let key = match found?.1 {
        [one] => u16::from(*one),
        [high, low] => u16::from_be_bytes([*high, *low]),
        _ => return None,
    };
    Some(SetElement { key, bytes_packets, has_comment })
}

#[cfg(test)]
mod tests;
