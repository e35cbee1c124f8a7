//! nf_tables operations for which iptables-nft has no command, such as removing the tables and base chains that it
//! creates.

use std::io;

use rustix::net::netlink::NETFILTER;

use super::{NLM_F_ACK, NLM_F_DUMP, Request, attributes, exchange, push_attribute, read_text};

// include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_GETTABLE: u16 = NFNL_SUBSYS_NFTABLES << 8 | 1;
const NFT_MSG_DELTABLE: u16 = NFNL_SUBSYS_NFTABLES << 8 | 2;
const NFT_MSG_NEWCHAIN: u16 = NFNL_SUBSYS_NFTABLES << 8 | 3;
const NFT_MSG_GETCHAIN: u16 = NFNL_SUBSYS_NFTABLES << 8 | 4;
const NFT_MSG_DELCHAIN: u16 = NFNL_SUBSYS_NFTABLES << 8 | 5;
const NFT_MSG_NEWTABLE: u16 = NFNL_SUBSYS_NFTABLES << 8;
const NFT_MSG_NEWRULE: u16 = NFNL_SUBSYS_NFTABLES << 8 | 6;
const NFT_MSG_GETGEN: u16 = NFNL_SUBSYS_NFTABLES << 8 | 16;
const NFTA_GEN_ID: u16 = 1;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_TABLE_HANDLE: u16 = 4;
const NFT_TABLE_F_DORMANT: u32 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_USE: u16 = 6;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_COUNTER_BYTES: u16 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;
const NLA_F_NESTED: u16 = 0x8000;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NF_ACCEPT: u32 = 1;
/// Makes removals fail if the object still contains something.
const NLM_F_NONREC: u16 = 0x100;
/// The size of `struct nfgenmsg`: family, version, resource.
pub(super) const HEADER: usize = 4;

/// A base chain, that is, one attached to a netfilter hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChain {
    pub name: String,
    /// It has no rules and lets everything pass.
    pub is_idle: bool,
}

/// Whether the table exists. `family` is `AF_INET` or `AF_INET6`.
///
/// # Errors
/// When the kernel has no nf_tables, or when the privilege is missing.
pub fn has_table(family: u8, table: &str) -> io::Result<bool> {
    Ok(table_handle(family, table)?.is_some())
}

/// The handle that the kernel gave the table when it was made; `None` if there is no such table. Handles are never
/// reused within a network namespace, so a table that was deleted and restored from a file has a new one.
///
/// # Errors
/// Like [`has_table`].
pub fn table_handle(family: u8, table: &str) -> io::Result<Option<u64>> {
    Ok(table_facts(family, table)?.map(|facts| facts.handle))
}

/// What the kernel says about a table itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// See [`table_handle`].
    pub handle: u64,
    /// Whether somebody switched the table off: then no packet reaches its chains.
    pub is_dormant: bool,
}

/// What the kernel says about the table; `None` if there is no such table. `family` is a number of
/// include/uapi/linux/netfilter.h, such as `NFPROTO_INET`.
///
/// # Errors
/// Like [`has_table`].
pub fn table_facts(family: u8, table: &str) -> io::Result<Option<TableFacts>> {
    let mut request = request(NFT_MSG_GETTABLE, NLM_F_ACK, family);
    request.attribute(NFTA_TABLE_NAME, &text(table));
    let answers = match request.ask() {
        Ok(answers) => answers,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut handle, mut flags) = (None, 0);
    for (kind, value) in answers.iter().flat_map(|(_, body)| attributes(body, HEADER)) {
        match kind {
            NFTA_TABLE_HANDLE => {
                handle = value.get(..8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes)
            }
            NFTA_TABLE_FLAGS => flags = big_endian(value).unwrap_or(0),
            _ => {}
        }
    }
    let handle = handle.ok_or_else(|| io::Error::other("a table without a handle"))?;
    Ok(Some(TableFacts { handle, is_dormant: flags & NFT_TABLE_F_DORMANT != 0 }))
}

/// The names of all tables of a family.
///
/// # Errors
/// Like [`has_table`].
pub fn tables(family: u8) -> io::Result<Vec<String>> {
    let answers = request(NFT_MSG_GETTABLE, NLM_F_DUMP, family).ask()?;
    let tables = answers.iter().filter(|(message_type, _)| *message_type == NFT_MSG_NEWTABLE);
    let names = tables.flat_map(|(_, body)| attributes(body, HEADER).filter(|(kind, _)| *kind == NFTA_TABLE_NAME));
    Ok(names.map(|(_, name)| read_text(name)).collect())
}

/// The base chains of a table.
///
/// # Errors
/// Like [`has_table`].
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

/// The generation of the ruleset in this network namespace. It changes with every change of the ruleset.
///
/// # Errors
/// Like [`has_table`].
pub fn ruleset_generation() -> io::Result<u32> {
    let answers = request(NFT_MSG_GETGEN, NLM_F_ACK, 0).ask()?;
    let id = answers.iter().flat_map(|(_, body)| attributes(body, HEADER)).find(|(kind, _)| *kind == NFTA_GEN_ID);
    id.and_then(|(_, value)| big_endian(value)).ok_or_else(|| io::Error::other("a generation without a number"))
}

/// Removes `chains`, and then the table if `with_table` is set. Removes nothing if any of them still contains
/// something.
///
/// # Errors
/// `EBUSY` if one of them still contains something; otherwise like [`has_table`].
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
    change(requests)
}

/// Removes a table with everything in it.
///
/// # Errors
/// When there is no such table, or the privilege is missing.
pub fn delete_table(family: u8, table: &str) -> io::Result<()> {
    let mut delete = request(NFT_MSG_DELTABLE, 0, family);
    delete.attribute(NFTA_TABLE_NAME, &text(table));
    change(vec![delete])
}

/// Appends a rule that only counts, with counters starting at one packet and one byte. (`ip6tables-nft` 1.8.9 has no
/// way to set them.)
///
/// # Errors
/// When there is no such chain; otherwise like [`has_table`].
pub fn add_counting_rule(family: u8, table: &str, chain: &str) -> io::Result<()> {
    let mut expressions = Vec::new();
    push_attribute(&mut expressions, NFTA_LIST_ELEM | NLA_F_NESTED, &counter_of_one());
    let mut rule = request(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family);
    rule.attribute(NFTA_RULE_TABLE, &text(table)).attribute(NFTA_RULE_CHAIN, &text(chain));
    rule.attribute(NFTA_RULE_EXPRESSIONS | NLA_F_NESTED, &expressions);
    change(vec![rule])
}

/// A counter expression that starts at one packet and one byte.
pub(super) fn counter_of_one() -> Vec<u8> {
    counter_from(1, 1)
}

/// A counter expression that starts at these values.
pub(super) fn counter_from(bytes: u64, packets: u64) -> Vec<u8> {
    let mut counter = Vec::new();
    push_attribute(&mut counter, NFTA_COUNTER_BYTES, &bytes.to_be_bytes());
    push_attribute(&mut counter, NFTA_COUNTER_PACKETS, &packets.to_be_bytes());
    let mut expression = Vec::new();
    push_attribute(&mut expression, NFTA_EXPR_NAME, &text("counter"));
    push_attribute(&mut expression, NFTA_EXPR_DATA | NLA_F_NESTED, &counter);
    expression
}

/// The (bytes, packets) of a counter expression; `None` if it is another expression.
pub(super) fn read_counter(expression: &[u8]) -> Option<(u64, u64)> {
    let (mut is_counter, mut bytes, mut packets) = (false, None, None);
    for (kind, value) in attributes(expression, 0) {
        match kind {
            NFTA_EXPR_NAME => is_counter = read_text(value) == "counter",
            NFTA_EXPR_DATA => {
                for (kind, value) in attributes(value, 0) {
                    let number = value.get(..8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
                    match kind {
                        NFTA_COUNTER_BYTES => bytes = number,
                        NFTA_COUNTER_PACKETS => packets = number,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    is_counter.then_some((bytes?, packets?))
}

/// Executes all requests as one transaction.
pub(super) fn change(mut requests: Vec<Request>) -> io::Result<()> {
    let Some(last) = requests.last_mut() else { return Ok(()) };
    last.flags |= NLM_F_ACK;
    // The resource in the messages around a batch names the subsystem, in network byte order.
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

/// The header of a request; `family` is the table's.
pub(super) fn header(message_type: u16, flags: u16, family: u8) -> Request {
    request(NFNL_SUBSYS_NFTABLES << 8 | message_type, flags, family)
}

/// Encodes a C string.
pub(super) fn text(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn big_endian(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?))
}
