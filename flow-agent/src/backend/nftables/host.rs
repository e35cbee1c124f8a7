//! EDGE kernel: the `nft` program, and the questions about our tables that the kernel answers without it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;

use super::listed::ListedTable;
use super::model::layout::NftLayout;
use super::model::place::{INET, NftSet, tag_of};
use super::model::transaction::NftTransaction;
use super::model::values::{NftValues, SENTINEL};
use crate::backend::BackendError;
use crate::backend::error::nftables::NftablesError;
use crate::backend::iptables::host::search_path::search_path;
use crate::backend::iptables::host::tools::find_program;
use crate::backend::netlink::{self, TableFacts};
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

/// What the kernel says about a table; `None` if there is no such table.
///
/// # Errors
/// When the kernel does not answer.
pub fn facts(table: &str) -> Result<Option<TableFacts>, NftablesError> {
    netlink::table_facts(INET, table)
        .map_err(|source| NftablesError::Netlink { action: "inspect the table of the counters", source })
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
    netlink::add_counted_zeros(INET, &layout.table(), &sets)
        .map_err(|source| NftablesError::Netlink { action: "mark the counters", source })
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
