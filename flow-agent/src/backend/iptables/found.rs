//! EDGE kernel: finds the sets of counters in the kernel, whoever left them.

use std::collections::{BTreeMap, BTreeSet};

use super::host::tools::{Quiet, Tools, Variant};
use super::model::family::Family;
use super::model::flow::{Direction, hook};
use super::model::place::Made;
use super::model::script::Script;
use super::model::set_name::RuleSetName;
use super::saved::damage::SetDamage;
use super::saved::sets::{self, Entrance, Marks};
use super::saved::view::VerifiedSet;
use crate::backend::error::iptables::IptablesError;
use crate::backend::{BackendError, BackendOptions, host, netlink};
use crate::ledger::counters::{Counters, Flow, Others};

/// The part of a set that is in one table.
#[derive(Clone, Debug)]
pub struct Piece {
    pub tools: Tools,
    pub name: RuleSetName,
    pub view: Result<VerifiedSet, SetDamage>,
    /// In the order of [`Direction::BOTH`].
    pub entrances: [Entrance; 2],
    /// How many jumps lead into it, in the order of [`Direction::BOTH`].
    pub jumps: [usize; 2],
    pub marks: Marks,
    /// What remains of its counters, whether the set is intact or not.
    pub remains: BTreeMap<u16, Counters>,
    pub others: Others,
    /// What was refused, by port, of the ports that are or were cut.
    pub blocked: BTreeMap<u16, Flow>,
    chains: Vec<String>,
    /// Its ipsets. They may hold counters even if no chain uses them any more.
    ipsets: Vec<String>,
}

impl Piece {
    /// Removes all jumps into it.
    pub fn leave(&self, script: &mut Script) {
        for (direction, jumps) in Direction::BOTH.into_iter().zip(self.jumps) {
            for _ in 0..jumps {
                script.leave(&self.name, direction);
            }
        }
    }

    /// The same piece after all jumps into it were removed.
    #[must_use]
    pub fn left(self) -> Self {
        Self { jumps: [0, 0], ..self }
    }

    /// Whether no packet can enter it and it has counted nothing.
    pub fn is_blank(&self) -> bool {
        let is_empty = self.remains.values().all(|counters| counters.is_zero()) && self.others == Others::default();
        self.jumps == [0, 0] && is_empty
    }

    pub fn has_ipsets(&self) -> bool {
        !self.ipsets.is_empty()
    }

    pub fn has_chains(&self) -> bool {
        !self.chains.is_empty()
    }

    /// Whether every packet enters it before any other rule can decide.
    pub fn is_entered_first(&self) -> bool {
        self.entrances.iter().all(|entrance| *entrance == Entrance::First)
    }

    /// Removes it, and the table and built-in chains that were made for it, unless somebody else uses them now.
    ///
    /// # Errors
    /// When its chains cannot be removed; nothing has been removed then. Or when a rule of somebody else uses one of
    /// its ipsets, which is kept.
    pub fn delete(&self) -> Result<(), IptablesError> {
        let mut script = Script::default();
        self.leave(&mut script);
        script.delete(&self.chains, &self.ipsets);
        let removed = match self.tools.restore(&script) {
            Err(IptablesError::Failed { .. }) => self.delete_what_can_be(),
            result => result,
        };
        // This keeps whatever is in use, even if the chains could not be removed.
        let unmade = unmake(&self.tools, self.marks.made);
        removed.and(unmade)
    }
}

impl Piece {
    /// Empties every chain and then removes, one by one, those that no foreign rule jumps to. (Somebody may have
    /// renamed one of our chains.) A chain that stays counts nothing.
    fn delete_what_can_be(&self) -> Result<(), IptablesError> {
        let mut script = Script::default();
        self.leave(&mut script);
        self.tools.restore(script.empty(&self.chains))?;
        for chain in &self.chains {
            if let Err(error) = self.tools.restore(Script::default().delete(std::slice::from_ref(chain), &[])) {
                tracing::warn!(
                    chain, %error,
                    "another program's rule jumps to an empty chain of ours, which was not removed"
                );
            }
        }
        self.tools.restore(Script::default().delete(&[], &self.ipsets))
    }
}

/// All pieces of the instance with this tag in the table of `tools`.
///
/// # Errors
/// When the table cannot be read.
pub fn pieces(tools: &Tools, quiet: &Quiet, instance: &str) -> Result<Vec<Piece>, IptablesError> {
    tools.save(quiet, instance, |table| {
        let sets = sets::sets(table).into_iter().filter(|(name, _)| name.instance() == instance);
        let piece = |(name, chains): (RuleSetName, Vec<&str>)| Piece {
            tools: tools.clone(),
            view: VerifiedSet::read(table, tools.family, &name),
            entrances: Direction::BOTH.map(|direction| sets::entrance(table, &name, direction)),
            jumps: Direction::BOTH.map(|direction| sets::jumps(table, &name, direction)),
            marks: sets::marks(table, &name),
            remains: sets::remains(table, &name),
            others: sets::remaining_others(table, &name),
            blocked: sets::blocked(table, &name),
            chains: chains.into_iter().map(str::to_owned).collect(),
            ipsets: sets::ipsets(table, &name).map(|(ipset, _)| name.ipset(tools.family, ipset)).collect(),
            name,
        };
        sets.map(piece).collect()
    })
}

/// All sets of an instance, in all tables and variants.
///
/// # Errors
/// [`BackendError::NewerLayout`] for a set made by a newer release; other errors when a table that this host uses
/// cannot be read.
pub fn everywhere(path: &std::ffi::OsStr, instance: &str) -> Result<BTreeMap<RuleSetName, Vec<Piece>>, BackendError> {
    let mut sets: BTreeMap<RuleSetName, Vec<Piece>> = BTreeMap::new();
    for tools in Tools::everywhere(path) {
        let found = Quiet::wait(&[&tools]).and_then(|quiet| pieces(&tools, &quiet, instance));
        let found = match found {
            Ok(found) => found,
            // If nobody uses a variant, its kernel side may be missing.
            Err(error) if !tools.is_in_use => {
                tracing::debug!(family = tools.family.name(), table = tools.table, %error, "not inspected");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for piece in found {
            if !piece.name.is_known() {
                let path = format!("{}*", piece.name).into();
                let (layout, known) = (piece.name.layout().into(), super::model::set_name::LAYOUT.into());
                return Err(BackendError::NewerLayout { path, layout, known });
            }
            sets.entry(piece.name.clone()).or_default().push(piece);
        }
    }
    sets.values_mut().for_each(keep_once);
    Ok(sets)
}

/// Ipsets belong to a family, not to a table or variant, so they are found with each. They are kept with the piece
/// whose chains use them, or in a single piece if those chains are gone.
fn keep_once(pieces: &mut Vec<Piece>) {
    for family in Family::BOTH {
        let mut kept = pieces.iter().any(|piece| piece.tools.family == family && piece.has_chains());
        pieces
            .retain(|piece| piece.tools.family != family || piece.has_chains() || !std::mem::replace(&mut kept, true));
    }
}

/// The epoch of a set: the id of this boot, which no set outlives, and the id in the names of the set's chains.
///
/// # Errors
/// When the kernel's boot id cannot be read.
pub fn epoch(name: &RuleSetName) -> Result<String, BackendError> {
    Ok(format!("{}:{}", host::boot_id()?, name.id()))
}

/// Which table and built-in chains are missing, so that the first rule in the table of `tools` will make them.
///
/// # Errors
/// When the kernel does not answer.
pub fn to_be_made(tools: &Tools) -> Result<Made, IptablesError> {
    if tools.variant == Variant::Legacy {
        return Ok(Made::default());
    }
    let family = tools.family.number();
    let error = |source| IptablesError::Nftables { action: "inspect the tables", source };
    if !netlink::has_table(family, tools.table).map_err(error)? {
        return Ok(Made { table: true, input: true, output: true });
    }
    let chains: BTreeSet<String> =
        netlink::base_chains(family, tools.table).map_err(error)?.into_iter().map(|chain| chain.name).collect();
    let is_missing = |direction: Direction| !chains.contains(hook(direction));
    Ok(Made { table: false, input: is_missing(Direction::Ingress), output: is_missing(Direction::Egress) })
}

/// Removes the table and chains that were made for us. It is not an error if somebody else uses them now; then they
/// stay.
fn unmake(tools: &Tools, made: Made) -> Result<(), IptablesError> {
    if tools.variant == Variant::Legacy || made == Made::default() {
        return Ok(());
    }
    let family = tools.family.number();
    let error = |source| IptablesError::Nftables { action: "remove an empty table", source };
    let base = netlink::base_chains(family, tools.table).map_err(error)?;
    let is_ours = |name: &str| match name {
        "INPUT" => made.input,
        "OUTPUT" => made.output,
        // Older releases of iptables make all built-in chains of a table at once.
        _ => made.table,
    };
    let idle: Vec<&str> =
        base.iter().filter(|chain| chain.is_idle && is_ours(&chain.name)).map(|chain| chain.name.as_str()).collect();
    let with_table = made.table && idle.len() == base.len();
    match netlink::remove_unused(family, tools.table, &idle, with_table) {
        Err(source) if matches!(source.kind(), std::io::ErrorKind::ResourceBusy | std::io::ErrorKind::NotFound) => {
            tracing::info!(
                family = tools.family.name(),
                table = tools.table,
                "another program uses the table now: it was not removed"
            );
            Ok(())
        }
        result => result.map_err(error),
    }
}

/// Describes for the log what is wrong with an entrance.
pub fn describe(family: Family, entrance: &Entrance) -> Option<String> {
    match entrance {
        Entrance::First => None,
        Entrance::Behind(rule) => Some(format!("another {} rule came before the counters: {rule}", family.name())),
        Entrance::Absent => Some(format!("somebody removed the {} rule that leads to the counters", family.name())),
    }
}

/// Whether the newest reading on disk is of counters that we made since this boot.
///
/// # Errors
/// When the kernel's boot id cannot be read.
pub fn is_newest_ours(options: &BackendOptions) -> Result<bool, BackendError> {
    let prefix = format!("{}:", host::boot_id()?);
    let id = options.newest_epoch.as_ref().and_then(|newest| newest.strip_prefix(&prefix));
    Ok(id.is_some_and(RuleSetName::is_id))
}
