//! EDGE kernel: the iptables programs of the variant that this host uses, for one family and table.
#![expect(clippy::disallowed_methods, reason = "edge: files, environment and clock")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::xtables_lock::XtablesLock;
use crate::backend::error::iptables::IptablesError;
use crate::backend::iptables::model::family::Family;
use crate::backend::iptables::model::ipset::Ipset;
use crate::backend::iptables::model::script::Script;
use crate::backend::iptables::model::set_name::RuleSetName;
use crate::backend::iptables::saved::members::{self, Members};
use crate::backend::iptables::saved::ruleset::{self, Table};
use crate::backend::netlink;
use crate::process;

/// How long a change waits, at most, for another program that is changing rules.
pub const LOCK_SECS: u64 = 20;

impl Family {
    /// Whether this network namespace has this address family.
    pub fn is_present(self) -> bool {
        match self {
            Self::V4 => true,
            Self::V6 => Path::new("/proc/thread-self/net/if_inet6").exists(),
        }
    }

    fn save_program(self, variant: Option<Variant>) -> &'static str {
        match (self, variant) {
            (Self::V4, None) => "iptables-save",
            (Self::V4, Some(Variant::Nft)) => "iptables-nft-save",
            (Self::V4, Some(Variant::Legacy)) => "iptables-legacy-save",
            (Self::V6, None) => "ip6tables-save",
            (Self::V6, Some(Variant::Nft)) => "ip6tables-nft-save",
            (Self::V6, Some(Variant::Legacy)) => "ip6tables-legacy-save",
        }
    }

    fn restore_program(self, variant: Option<Variant>) -> &'static str {
        match (self, variant) {
            (Self::V4, None) => "iptables-restore",
            (Self::V4, Some(Variant::Nft)) => "iptables-nft-restore",
            (Self::V4, Some(Variant::Legacy)) => "iptables-legacy-restore",
            (Self::V6, None) => "ip6tables-restore",
            (Self::V6, Some(Variant::Nft)) => "ip6tables-nft-restore",
            (Self::V6, Some(Variant::Legacy)) => "ip6tables-legacy-restore",
        }
    }

    /// The tables of the legacy kernel side in this network namespace. A table exists only after its first use.
    fn legacy_tables(self) -> Result<String, IptablesError> {
        let path = match self {
            Self::V4 => "/proc/thread-self/net/ip_tables_names",
            Self::V6 => "/proc/thread-self/net/ip6_tables_names",
        };
        match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            result => result.map_err(|source| IptablesError::Path { action: "read", path: path.into(), source }),
        }
    }
}

/// The kernel side that the programs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    Nft,
    Legacy,
}

/// The programs for one address family, and the table that they work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    pub family: Family,
    pub variant: Variant,
    pub table: &'static str,
    /// Whether these are the programs that `iptables` means on this host.
    pub is_in_use: bool,
    save: PathBuf,
    restore: PathBuf,
    /// The path of `ipset`, if it is installed.
    ipset: Option<PathBuf>,
}

impl std::fmt::Display for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let variant = match self.variant {
            Variant::Nft => "nft",
            Variant::Legacy => "legacy",
        };
        write!(f, "{} {} ({variant})", self.family.name(), self.table)
    }
}

/// While this value exists, nobody changes legacy rules.
///
/// When anybody changes a rule, the legacy kernel side replaces the whole table and restores the counters a moment
/// later. A reading in between is too small, and the bytes would be counted again at the next reading. (Measured: of
/// 184 readings of 4,000 rules, while another program was adding and removing one, 19 saw zeros.)
#[derive(Debug)]
pub struct Quiet(Option<XtablesLock>);

impl Quiet {
    /// Waits for programs that are changing rules. Changes by the nft variant are transactions and need no waiting.
    ///
    /// # Errors
    /// [`IptablesError::Locked`] if the lock cannot be had within [`LOCK_SECS`] seconds.
    pub fn wait(tools: &[&Tools]) -> Result<Self, IptablesError> {
        let is_needed = tools.iter().any(|tools| tools.variant == Variant::Legacy);
        Ok(Self(if is_needed { Some(XtablesLock::take(LOCK_SECS)?) } else { None }))
    }
}

/// How long to wait until the kernel has released an ipset after the rules that used it are gone.
const IPSET_PATIENCE: Duration = Duration::from_secs(5);
const IPSET_PAUSE: Duration = Duration::from_millis(20);

/// The tables in which our chains may be.
const TABLES: [&str; 2] = ["mangle", "filter"];

impl Tools {
    /// The programs that this host uses, one for each address family. `path` lists the directories to search, like
    /// `PATH`.
    ///
    /// # Errors
    /// [`IptablesError::Missing`] if there are no programs for a family.
    pub fn in_use(path: &OsStr) -> Result<Vec<Self>, IptablesError> {
        let families = Family::BOTH.into_iter().filter(|family| family.is_present());
        families.map(|family| Self::find(path, family, None)).collect()
    }

    /// Every table of every variant in which our chains may be. Tables that would be created by a look at them are left
    /// out.
    pub fn everywhere(path: &OsStr) -> Vec<Self> {
        Self::with_tables(path, &TABLES)
    }

    /// The same for a given table.
    pub fn with_table(path: &OsStr, table: &'static str) -> Vec<Self> {
        Self::with_tables(path, &[table])
    }

    fn with_tables(path: &OsStr, tables: &[&'static str]) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for family in Family::BOTH.into_iter().filter(|family| family.is_present()) {
            // Releases of iptables before 1.8 have only one variant, under the plain names.
            for variant in [None, Some(Variant::Nft), Some(Variant::Legacy)] {
                let Ok(tools) = Self::find(path, family, variant) else { continue };
                for table in tables {
                    let tools = Self { table: *table, ..tools.clone() };
                    let is_new = found.iter().all(|other| other.place() != tools.place());
                    if is_new && tools.may_have_table() {
                        found.push(tools);
                    }
                }
            }
        }
        found
    }

    /// Two values with the same place work on the same rules.
    pub fn place(&self) -> (Family, Variant, &'static str) {
        (self.family, self.variant, self.table)
    }

    fn find(path: &OsStr, family: Family, variant: Option<Variant>) -> Result<Self, IptablesError> {
        let look = |program: &'static str| find_program(path, program).ok_or(IptablesError::Missing { program });
        let (save, restore) = (look(family.save_program(variant))?, look(family.restore_program(variant))?);
        let is_in_use = variant.is_none();
        let variant = match variant {
            Some(variant) => variant,
            None => asked_variant(&restore)?,
        };
        // Prefer the names of the variant, where they exist: somebody may switch the plain names to the other one at
        // any time.
        let named = |plain: PathBuf, program: fn(Family, Option<Variant>) -> &'static str| {
            find_program(path, program(family, Some(variant))).unwrap_or(plain)
        };
        let (save, restore) = (named(save, Family::save_program), named(restore, Family::restore_program));
        let table = match variant {
            Variant::Nft => "mangle",
            Variant::Legacy => preferred_legacy_table(&family.legacy_tables()?),
        };
        let ipset = find_program(path, "ipset");
        Ok(Self { family, variant, table, is_in_use, save, restore, ipset })
    }

    /// Whether the table may be read. Reading a legacy table creates it, so it must exist.
    fn may_have_table(&self) -> bool {
        match self.variant {
            Variant::Nft => true,
            Variant::Legacy => {
                self.family.legacy_tables().is_ok_and(|tables| tables.lines().any(|table| table == self.table))
            }
        }
    }

    /// Reads the table with its counters and the instance's ipsets in this family, and passes it to `look`.
    ///
    /// # Errors
    /// When a program fails, or prints what cannot be parsed.
    pub fn save<T>(
        &self,
        quiet: &Quiet,
        instance: &str,
        look: impl FnOnce(&Table<'_>) -> T,
    ) -> Result<T, IptablesError> {
        debug_assert!(self.variant == Variant::Nft || quiet.0.is_some(), "legacy rules are read while locked");
        let text = self.dump()?;
        let parsed = ruleset::parse(&text);
        let mut tables =
            parsed.map_err(|source| IptablesError::Output { program: self.save.clone(), source: source.into() })?;
        let mut table = tables.remove(self.table).unwrap_or_default();
        table.ipsets = self.ipsets(&table, instance)?;
        // This comes after the dump, so that a table restored in between does not pass for the one that we made.
        table.handle = self.table_handle()?;
        Ok(look(&table))
    }

    /// The handle of the nf_tables table. `None` for the legacy variant, or if there is no such table.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn table_handle(&self) -> Result<Option<u64>, IptablesError> {
        match self.variant {
            Variant::Nft => netlink::table_handle(self.family.number(), self.table)
                .map_err(|source| IptablesError::Nftables { action: "inspect the table", source }),
            Variant::Legacy => Ok(None),
        }
    }

    /// Appends a rule with counters that are not zero to an nf_tables chain.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn count_one(&self, chain: &str) -> Result<(), IptablesError> {
        netlink::add_counting_rule(self.family.number(), self.table, chain)
            .map_err(|source| IptablesError::Nftables { action: "create a counting rule", source })
    }

    /// Whether `ipset` is installed. The kernel may still lack support for it.
    pub fn has_ipset(&self) -> bool {
        self.ipset.is_some()
    }

    /// The ipsets of an instance in this family, whether rules still use them or not.
    fn ipsets(
        &self,
        table: &Table<'_>,
        instance: &str,
    ) -> Result<BTreeMap<(RuleSetName, Ipset), Members>, IptablesError> {
        let asked = RuleSetName::asked_by(instance);
        let is_asked = table.chains.values().flatten().any(|rule| rule.text.contains(&asked));
        let Some(program) = &self.ipset else {
            return if is_asked { Err(IptablesError::NoIpset) } else { Ok(BTreeMap::new()) };
        };
        let names = process::run(program, &["list", "-name"], "")?;
        if !names.status.success() {
            // A kernel without ipset support says so on stderr, and there are no ipsets. A program that was killed says
            // nothing.
            let has_none = names.status.code().is_some() && !is_asked;
            return if has_none { Ok(BTreeMap::new()) } else { Err(self.failed(program, &names)) };
        }
        let ours = names.stdout.lines().filter_map(|name| Some((name, RuleSetName::parse_ipset(name, self.family)?)));
        let ours: Vec<(&str, _)> = ours.filter(|(_, (set, _))| set.instance() == instance).collect();
        // For a newer layout it is enough to know that the ipset exists.
        let (known, newer): (Vec<_>, Vec<_>) = ours.into_iter().partition(|(_, (set, _))| set.is_known());
        let mut found: BTreeMap<_, _> = newer.into_iter().map(|(_, key)| (key, Members::new())).collect();
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        if let Some(members) = self.members_of_all(program, &names)? {
            found.extend(known.into_iter().map(|(_, key)| key).zip(members));
            return Ok(found);
        }
        for (name, key) in known {
            found.extend(self.members(program, name)?.map(|members| (key, members)));
        }
        Ok(found)
    }

    /// Reads the members of all ipsets with a single process, because each process takes milliseconds. `None` if that
    /// fails.
    fn members_of_all(&self, program: &Path, names: &[&str]) -> Result<Option<Vec<Members>>, IptablesError> {
        if names.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let commands: String = names.iter().map(|name| format!("save {name}\n")).collect();
        let saved = process::run(program, &["restore"], &commands)?;
        let members = saved.status.success().then(|| members::parse_all(&saved.stdout, names));
        // Somebody removed an ipset meanwhile, or this release of ipset cannot do it. Reading each ipset separately
        // will show.
        Ok(members.and_then(Result::ok))
    }

    /// The members of one ipset. `None` if it has gone away meanwhile.
    fn members(&self, program: &Path, name: &str) -> Result<Option<Members>, IptablesError> {
        let saved = process::run(program, &["save", name], "")?;
        if !saved.status.success() {
            return if saved.stderr.contains("does not exist") { Ok(None) } else { Err(self.failed(program, &saved)) };
        }
        let program = || format!("{} save {name}", program.display()).into();
        let members = members::parse(&saved.stdout, name);
        members.map(Some).map_err(|source| IptablesError::Output { program: program(), source: source.into() })
    }

    /// The program's dump of the table. In the legacy variant its counters are only reliable while a [`Quiet`] exists;
    /// see [`Tools::save`].
    ///
    /// # Errors
    /// When the program fails or cannot display the table.
    pub fn dump(&self) -> Result<String, IptablesError> {
        let output = process::run(&self.save, &["-c", "-t", self.table], "")?;
        if !output.status.success() {
            return Err(self.failed(&self.save, &output));
        }
        // If the table contains what the nft variant cannot display, it says so in a comment.
        let hidden = output.stdout.lines().find(|line| line.contains("incompatible"));
        match hidden.filter(|_| !output.stdout.lines().any(|line| line.strip_prefix('*') == Some(self.table))) {
            Some(line) => {
                let (program, table, stderr) = (self.save.clone(), self.table, line.to_owned());
                Err(IptablesError::Hidden { program, table, stderr })
            }
            None => Ok(output.stdout),
        }
    }

    /// The name by which a person calls the program that shows these rules, such as `iptables` or `ip6tables-legacy`.
    pub fn program(&self) -> String {
        let variant = (!self.is_in_use).then_some(self.variant);
        let name = self.family.save_program(variant);
        name.strip_suffix("-save").unwrap_or(name).to_owned()
    }

    /// Executes `script`. Its changes of rules are applied completely or not at all.
    ///
    /// # Errors
    /// [`IptablesError::Locked`] if another program keeps the lock for more than [`LOCK_SECS`] seconds.
    pub fn restore(&self, script: &Script) -> Result<(), IptablesError> {
        self.restore_ipsets(&script.before)?;
        self.restore_rules(script)?;
        self.restore_ipsets(&script.after)
    }

    fn restore_rules(&self, script: &Script) -> Result<(), IptablesError> {
        if script.leaves_rules() {
            return Ok(());
        }
        let wait = LOCK_SECS.to_string();
        let arguments = match self.variant {
            Variant::Nft => vec!["--noflush"],
            Variant::Legacy => vec!["--noflush", "-w", &wait],
        };
        let output = process::run(&self.restore, &arguments, &script.render(self.table))?;
        if output.status.success() {
            return Ok(());
        }
        if output.stderr.contains("holding the xtables lock") {
            return Err(IptablesError::Locked { path: XtablesLock::path(), secs: LOCK_SECS });
        }
        Err(self.failed(&self.restore, &output))
    }

    fn restore_ipsets(&self, commands: &str) -> Result<(), IptablesError> {
        if commands.is_empty() {
            return Ok(());
        }
        let program = self.ipset.as_ref().ok_or(IptablesError::NoIpset)?;
        let deadline = Instant::now() + IPSET_PATIENCE;
        let mut commands = commands;
        loop {
            let output = process::run(program, &["restore"], commands)?;
            if output.status.success() {
                return Ok(());
            }
            // The kernel releases a rule a moment after reporting its removal, and until then the rule uses the ipset.
            let rest = members::in_use_at(&output.stderr).and_then(|line| members::from_line(commands, line));
            commands = rest.filter(|_| Instant::now() < deadline).ok_or_else(|| self.failed(program, &output))?;
            thread::sleep(IPSET_PAUSE);
        }
    }

    fn failed(&self, program: &Path, output: &process::Output) -> IptablesError {
        IptablesError::Failed {
            program: program.to_owned(),
            status: output.status.to_string(),
            stderr: output.stderr.clone(),
        }
    }
}

/// Chooses the table for the legacy variant. With the nft variant the table is always `mangle`, because tables are made
/// on demand and can be removed again; it comes before the `filter` rules of every firewall, and neither `iptables -F`
/// nor a firewall's own rules touch it. The legacy kernel side never removes a table once it was used, and the table's
/// hooks cost time for every packet. So `mangle` is chosen there too, unless only `filter` is in use.
fn preferred_legacy_table(in_use: &str) -> &'static str {
    let is_in_use = |name| in_use.lines().any(|table| table == name);
    if is_in_use("filter") && !is_in_use("mangle") { "filter" } else { "mangle" }
}

/// Searches for `program` in the directories of `path`.
pub fn find_program(path: &OsStr, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// Asks the program for its variant. One that does not mention nf_tables is legacy, or older than nf_tables.
fn asked_variant(restore: &Path) -> Result<Variant, IptablesError> {
    let output = process::run(restore, &["--version"], "")?;
    Ok(if output.stdout.contains("nf_tables") { Variant::Nft } else { Variant::Legacy })
}

#[cfg(test)]
mod tests;
