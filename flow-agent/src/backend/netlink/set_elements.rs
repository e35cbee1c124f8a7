//! The elements of nf_tables sets, with their counters.

use std::io;
use std::thread;
use std::time::Duration;

use super::nftables::{HEADER, change, counter_of_one, header, read_counter, text};
use super::{ATTEMPTS, NLM_F_CREATE, NLM_F_DUMP, attributes, push_attribute};

// include/uapi/linux/netfilter/nf_tables.h
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_GETSETELEM: u16 = 13;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_USERDATA: u16 = 6;
const NFTA_SET_ELEM_EXPR: u16 = 7;
const NFTA_DATA_VALUE: u16 = 1;
const NLA_F_NESTED: u16 = 0x8000;

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

/// Adds the element zero, with a counter of one packet and one byte, to each of `sets`, which have keys of the given
/// number of bytes. (`nft` 1.0.6 ignores counters of elements in JSON.)
///
/// # Errors
/// When there is no such set, or the privilege is missing.
pub fn add_counted_zeros(family: u8, table: &str, sets: &[(String, usize)]) -> io::Result<()> {
    let requests = sets.iter().map(|(set, key_bytes)| {
        let mut key = Vec::new();
        push_attribute(&mut key, NFTA_DATA_VALUE, &vec![0; *key_bytes]);
        let mut element = Vec::new();
        push_attribute(&mut element, NFTA_SET_ELEM_KEY | NLA_F_NESTED, &key);
        push_attribute(&mut element, NFTA_SET_ELEM_EXPR | NLA_F_NESTED, &counter_of_one());
        let mut list = Vec::new();
        push_attribute(&mut list, NFTA_LIST_ELEM | NLA_F_NESTED, &element);
        let mut request = header(NFT_MSG_NEWSETELEM, NLM_F_CREATE, family);
        request.attribute(NFTA_SET_ELEM_LIST_TABLE, &text(table)).attribute(NFTA_SET_ELEM_LIST_SET, &text(set));
        request.attribute(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, &list);
        request
    });
    change(requests.collect())
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
