//! The few things of nf_tables that iptables-nft makes on demand and has no command to remove: tables and base chains.

use std::io;

use rustix::net::netlink::NETFILTER;

use super::{NLM_F_ACK, NLM_F_DUMP, Request, attributes, exchange, read_text};

// include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_GETTABLE: u16 = NFNL_SUBSYS_NFTABLES << 8 | 1;
const NFT_MSG_DELTABLE: u16 = NFNL_SUBSYS_NFTABLES << 8 | 2;
const NFT_MSG_NEWCHAIN: u16 = NFNL_SUBSYS_NFTABLES << 8 | 3;
const NFT_MSG_GETCHAIN: u16 = NFNL_SUBSYS_NFTABLES << 8 | 4;
const NFT_MSG_DELCHAIN: u16 = NFNL_SUBSYS_NFTABLES << 8 | 5;
const NFT_MSG_GETGEN: u16 = NFNL_SUBSYS_NFTABLES << 8 | 16;
const NFTA_GEN_ID: u16 = 1;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_USE: u16 = 6;
const NF_ACCEPT: u32 = 1;
/// Refuse to remove what still holds something.
const NLM_F_NONREC: u16 = 0x100;
/// `struct nfgenmsg`: family, version, resource.
const HEADER: usize = 4;

/// A chain that a hook enters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChain {
    pub name: String,
    /// It holds no rule, and lets everything pass.
    pub is_idle: bool,
}

/// Whether the table is there. `family` is `AF_INET` or `AF_INET6`.
///
/// # Errors
/// When the kernel does not say: it has no nf_tables, or the privilege is missing.
pub fn has_table(family: u8, table: &str) -> io::Result<bool> {
    let mut request = request(NFT_MSG_GETTABLE, NLM_F_ACK, family);
    request.attribute(NFTA_TABLE_NAME, &text(table));
    match request.ask() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The base chains of a table.
///
/// # Errors
/// As [`has_table`].
pub fn base_chains(family: u8, table: &str) -> io::Result<Vec<BaseChain>> {
    let answers = request(NFT_MSG_GETCHAIN, NLM_F_DUMP, family).ask()?;
    let chains = answers.iter().filter(|(message_type, _)| *message_type == NFT_MSG_NEWCHAIN);
    Ok(chains.filter_map(|(_, body)| base_chain(body, table)).collect())
}

fn base_chain(body: &[u8], table: &str) -> Option<BaseChain> {
    let (mut of, mut name, mut hooked, mut policy, mut uses) = (None, None, false, None, None);
    for (kind, value) in attributes(body, HEADER) {
        match kind {
            NFTA_CHAIN_TABLE => of = Some(read_text(value)),
            NFTA_CHAIN_NAME => name = Some(read_text(value)),
            NFTA_CHAIN_HOOK => hooked = true,
            NFTA_CHAIN_POLICY => policy = big_endian(value),
            NFTA_CHAIN_USE => uses = big_endian(value),
            _ => {}
        }
    }
    let is_idle = policy == Some(NF_ACCEPT) && uses == Some(0);
    (hooked && of.as_deref() == Some(table)).then_some(BaseChain { name: name?, is_idle })
}

/// The number of the ruleset's generation in this network namespace: every change of it makes another.
///
/// # Errors
/// As [`has_table`].
pub fn ruleset_generation() -> io::Result<u32> {
    let answers = request(NFT_MSG_GETGEN, NLM_F_ACK, 0).ask()?;
    let id = answers.iter().flat_map(|(_, body)| attributes(body, HEADER)).find(|(kind, _)| *kind == NFTA_GEN_ID);
    id.and_then(|(_, value)| big_endian(value)).ok_or_else(|| io::Error::other("a generation without a number"))
}

/// Removes `chains`, and then the table if that is asked for; nothing if any of them holds something.
///
/// # Errors
/// `EBUSY` when one of them does; else as [`has_table`].
pub fn remove_unused(family: u8, table: &str, chains: &[&str], with_table: bool) -> io::Result<()> {
    let mut requests: Vec<Request> = Vec::new();
    for chain in chains {
        let mut delete = request(NFT_MSG_DELCHAIN, NLM_F_NONREC, family);
        delete.attribute(NFTA_CHAIN_TABLE, &text(table)).attribute(NFTA_CHAIN_NAME, &text(chain));
        requests.push(delete);
    }
    if with_table {
        let mut delete = request(NFT_MSG_DELTABLE, NLM_F_NONREC, family);
        delete.attribute(NFTA_TABLE_NAME, &text(table));
        requests.push(delete);
    }
    let Some(last) = requests.last_mut() else { return Ok(()) };
    last.flags |= NLM_F_ACK;
    // The resource of a batch's edges says whose batch it is, in network byte order.
    let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
    let edge = |message_type| Request::new(message_type, 0, &[0, 0, high, low]);
    requests.insert(0, edge(NFNL_MSG_BATCH_BEGIN));
    requests.push(edge(NFNL_MSG_BATCH_END));
    let batch: Vec<u8> = requests.iter().flat_map(Request::encode).collect();
    exchange(Some(NETFILTER), &batch).map(drop)
}

fn request(message_type: u16, flags: u16, family: u8) -> Request {
    Request { protocol: Some(NETFILTER), ..Request::new(message_type, flags, &[family, 0, 0, 0]) }
}

/// A C string.
fn text(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn big_endian(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?))
}
