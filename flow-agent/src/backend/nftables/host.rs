//! EDGE kernel: the `nft` program, and the questions about our tables that the kernel answers without it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;

use super::listed::ListedTable;
use super::model::layout::NftLayout;
use super::model::place::{INET, NftSet, tag_of};
use super::model::transaction::NftTransaction;
use super::model::values::{NftValues, SENTINEL, SENTINEL_START};
use crate::backend::BackendError;
use crate::backend::error::nftables::NftablesError;
use crate::backend::iptables::host::search_path::search_path;
use crate::backend::iptables::host::tools::find_program;
use crate::backend::iptables::model::layout::Fragments;
use crate::backend::iptables::model::set_name::RuleSetName;
use crate::backend::netlink::{self, PortChange, PortChangeKind, TableFacts};
use crate::process;

/// The `nft` program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nft {
    program: PathBuf,
}

impl Nft {
    /// Searches for the program in the directories of `path`, a list like `PATH`.
    ///
    /// # Errors
    /// [`NftablesError::Missing`].
    pub fn find(path: &OsStr) -> Result<Self, NftablesError> {
        find_program(path, "nft").map(|program| Self { program }).ok_or(NftablesError::Missing)
    }

    /// Executes a transaction, completely or not at all.
    ///
    /// # Errors
    /// When the program or the kernel refuses.
    pub fn apply(&self, transaction: &NftTransaction) -> Result<(), NftablesError> {
        if transaction.is_empty() {
            return Ok(());
        }
        let output = process::run(&self.program, &["-j", "-f", "-"], &transaction.render())?;
        if output.status.success() { Ok(()) } else { Err(self.failed(&output)) }
    }

    /// Lists a table without the elements of its sets. `None` if there is no such table.
    ///
    /// # Errors
    /// When the program fails, or its output is not a list of a table.
    pub fn list(&self, table: &str) -> Result<Option<ListedTable>, NftablesError> {
        if facts(table)?.is_none() {
            return Ok(None);
        }
        let output = process::run(&self.program, &["-j", "-t", "list", "table", "inet", table], "")?;
        if !output.status.success() {
            // Somebody may have removed it a moment ago.
            return if facts(table)?.is_none() { Ok(None) } else { Err(self.failed(&output)) };
        }
        ListedTable::parse(&output.stdout)
            .map(Some)
            .map_err(|source| NftablesError::Output { program: self.program.clone(), source: source.into() })
    }

    /// The error about counters that were just made and are not as they should be.
    pub fn unsuitable(&self, source: impl std::error::Error + Send + Sync + 'static) -> NftablesError {
        NftablesError::Unsuitable { program: self.program.clone(), source: source.into() }
    }

    fn failed(&self, output: &process::Output) -> NftablesError {
        NftablesError::Failed {
            program: self.program.clone(),
            status: output.status.to_string(),
            stderr: output.stderr.clone(),
        }
    }
}

/// The version of `nft` in its own words, such as `nftables v1.0.6 (Lester Gooch #5)`.
///
/// # Errors
/// When it is not installed, or cannot be run.
pub fn version() -> Result<String, BackendError> {
    let nft = Nft::find(&search_path())?;
    let output = process::run(&nft.program, &["--version"], "").map_err(NftablesError::from)?;
    if output.status.success() { Ok(output.stdout.trim().to_owned()) } else { Err(nft.failed(&output).into()) }
}

/// The version of `nft`, after it and the kernel have checked the commands that make counters. Nothing is made.
///
/// # Errors
/// When `nft` is not installed, or it or the kernel cannot do what is needed.
pub fn tried() -> Result<String, BackendError> {
    let layout = NftLayout {
        name: RuleSetName::new("000000".into(), 0),
        interfaces: Vec::new(),
        ports: BTreeSet::from([443]),
        draining: BTreeSet::new(),
        size: super::model::layout::slots(1),
        fragments: Fragments::Delivered,
        can_cut: false,
    };
    let mut transaction = NftTransaction::on(&layout.table());
    layout.make(&mut transaction);
    let nft = Nft::find(&search_path())?;
    let output =
        process::run(&nft.program, &["-c", "-j", "-f", "-"], &transaction.render()).map_err(NftablesError::from)?;
    if output.status.success() { version() } else { Err(nft.failed(&output).into()) }
}

/// What the kernel says about a table; `None` if there is no such table.
///
/// # Errors
/// When the kernel does not answer.
pub fn facts(table: &str) -> Result<Option<TableFacts>, NftablesError> {
    netlink::table_facts(INET, table)
        .map_err(|source| NftablesError::Netlink { action: "inspect the table of the counters", source })
}

/// Removes the whole table of the instance with this tag, for which `nft` is not needed. Returns whether there was one.
///
/// # Errors
/// When the kernel refuses.
pub fn remove_table(tag: &str) -> Result<bool, NftablesError> {
    let table = super::model::place::table(tag);
    let was_there = facts(&table)?.is_some();
    if was_there {
        netlink::delete_table(INET, &table)
            .map_err(|source| NftablesError::Netlink { action: "remove the table of the counters", source })?;
    }
    Ok(was_there)
}

/// A number that changes with every change of any rule or set in this network namespace.
///
/// # Errors
/// When the kernel does not answer.
pub fn generation() -> Result<u32, NftablesError> {
    netlink::ruleset_generation()
        .map_err(|source| NftablesError::Netlink { action: "inspect the ruleset's generation", source })
}

/// The tags of all instances that have a table in this network namespace.
///
/// # Errors
/// When the kernel does not answer, because it has no nf_tables or the privilege is missing.
pub fn tags() -> Result<BTreeSet<String>, NftablesError> {
    let tables =
        netlink::tables(INET).map_err(|source| NftablesError::Netlink { action: "list the tables", source })?;
    Ok(tables.iter().filter_map(|table| tag_of(table)).map(str::to_owned).collect())
}

/// Adds the sentinel to each of these sets with counters.
///
/// # Errors
/// When the kernel refuses.
pub fn add_sentinels(layout: &NftLayout, sets: impl IntoIterator<Item = NftSet>) -> Result<(), NftablesError> {
    let counting = sets.into_iter().filter(|set| set.has_counters());
    let sets: Vec<_> = counting.map(|set| (layout.set(set), set.key_bytes())).collect();
    netlink::add_counted_zeros(INET, &layout.table(), &sets, SENTINEL_START)
        .map_err(|source| NftablesError::Netlink { action: "mark the counters", source })
}

/// Deletes ports from sets, and adds ports to sets, all in one step.
///
/// # Errors
/// When the kernel refuses; nothing was changed then.
pub fn change_ports(
    layout: &NftLayout,
    deleted: &[(NftSet, &BTreeSet<u16>)],
    added: &[(NftSet, &BTreeSet<u16>)],
) -> Result<(), NftablesError> {
    let mut changes = Vec::new();
    for (set, ports) in deleted {
        changes.push(PortChange { set: layout.set(*set), ports, kind: PortChangeKind::Delete });
    }
    for (set, ports) in added {
        let kind = if set.has_counters() { PortChangeKind::AddCounted } else { PortChangeKind::Add };
        changes.push(PortChange { set: layout.set(*set), ports, kind });
    }
    netlink::change_ports(INET, &layout.table(), &changes)
        .map_err(|source| NftablesError::Netlink { action: "change the ports that are cut", source })
}

/// The present values of a set's counters. Sets that do not exist are left out.
///
/// # Errors
/// When the kernel does not answer, or others change the ruleset all the time.
pub fn values(layout: &NftLayout) -> Result<NftValues, NftablesError> {
    let mut values = NftValues::default();
    for set in layout.sets().into_iter().filter(|set| set.has_counters()) {
        let Some(elements) = dump(layout, set)? else { continue };
        if matches!(set, NftSet::Counters(_)) {
            let foreign = elements.iter().filter(|element| !element.has_comment && element.key != SENTINEL);
            values.foreign.extend(foreign.map(|element| element.key));
        }
        let counted = |element: netlink::SetElement| Some((element.key, element.bytes_packets?));
        values.counts.insert(set, elements.into_iter().filter_map(counted).collect());
    }
    if !layout.draining.is_empty() {
        values.still = members(layout, NftSet::Still)?.unwrap_or_default();
    }
    if layout.can_cut {
        values.cut = members(layout, NftSet::Cut)?.unwrap_or_default();
    }
    Ok(values)
}

/// The elements of a set of ports without counters; `None` if there is no such set.
///
/// # Errors
/// Like [`values`].
pub fn members(layout: &NftLayout, set: NftSet) -> Result<Option<BTreeSet<u16>>, NftablesError> {
    Ok(dump(layout, set)?.map(|elements| elements.into_iter().map(|element| element.key).collect()))
}

fn dump(layout: &NftLayout, set: NftSet) -> Result<Option<Vec<netlink::SetElement>>, NftablesError> {
    netlink::set_elements(INET, &layout.table(), &layout.set(set))
        .map_err(|source| NftablesError::Netlink { action: "read the counters", source })
}
