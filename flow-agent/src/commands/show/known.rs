//! The users and ports that exist: in the configuration, in the agent's last port list, and in the logs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Args;
use super::read::Log;
use crate::config::Config;
use crate::errors::nearest;
use crate::exit::{Code, Failure};
use crate::ledger::block::{Block, BlockKind, Daily, HourBlock, Monthly};
use crate::ports::spec;
use crate::store::blocks::{Blocks, Item};
use crate::store::hours::{self, HourItem, Hours};
use crate::store::{self, StateDir, StoreError};

/// Rejects a `--user` or `--port` that never existed, because its usage is unknown rather than zero.
///
/// # Errors
/// Exit code 2 with the name that was probably meant; 5 if a file cannot be read.
pub(super) fn refuse_unknown(args: &Args, log: &Log, config: &Config) -> Result<(), Failure> {
    if !args.is_narrow() {
        return Ok(());
    }
    let mut known = Known::configured(log, config);
    if known.have(args) {
        return Ok(());
    }
    known.read_logs(log.state())?;
    // A damaged part of the logs, or a port file that no agent has read yet, may name it.
    if known.have(args) || known.are_incomplete || log.damages() > 0 {
        return Ok(());
    }
    Err(known.refusal(args))
}

/// Whether neither an hour nor a day was ever counted in this state directory.
///
/// # Errors
/// If a directory cannot be read.
pub(super) fn nothing_counted(log: &Log) -> Result<bool, StoreError> {
    let has_logs = !hours::dates(log.state())?.is_empty() || !files(&log.state().daily_dir())?.is_empty();
    Ok(!has_logs && log.open().is_none())
}

#[derive(Debug, Default)]
struct Known {
    users: BTreeSet<String>,
    ports: BTreeSet<u16>,
    are_incomplete: bool,
}

impl Known {
    /// What is known without reading the logs.
    fn configured(log: &Log, config: &Config) -> Self {
        let mut known = Self::default();
        for user in &config.users {
            known.users.insert(user.name.clone());
            known.ports.extend(&user.ports);
        }
        known.ports.extend(&config.ports.watch);
        // Damage to this file was noted when the log was opened.
        match store::ports::read(log.state()).ok().flatten() {
            Some(list) => list.ports.into_iter().for_each(|(port, user)| known.add(port, user)),
            None => known.are_incomplete = config.ports.listening || !config.ports.files.is_empty(),
        }
        if let Some(open) = log.open() {
            known.add_hours(open);
        }
        known
    }

    fn add(&mut self, port: u16, user: Option<String>) {
        self.ports.insert(port);
        self.users.extend(user);
    }

    fn add_hours(&mut self, block: &HourBlock) {
        block.lines.iter().for_each(|line| self.add(line.port, line.user.clone()));
    }

    /// Adds the names in the logs: the reported months, this node's days and the gathered ones, and the hours.
    fn read_logs(&mut self, state: &StateDir) -> Result<(), StoreError> {
        for path in files(&state.root().join("monthly"))? {
            self.read::<Monthly>(&path, |known, block| {
                for line in block.lines {
                    known.users.extend(line.user);
                    known.ports.extend(line.ports);
                }
            })?;
        }
        let mut rolled_up = BTreeSet::new();
        let nodes = files(&state.root().join("nodes"))?.into_iter().map(|node| (node.join("daily"), false));
        for (directory, is_own) in nodes.chain([(state.daily_dir(), true)]) {
            for path in files(&directory)? {
                self.read::<Daily>(&path, |known, block| {
                    rolled_up.extend(Some(block.seal.day).filter(|_| is_own));
                    block.lines.into_iter().for_each(|line| known.add(line.port, line.user));
                })?;
            }
        }
        let dates = hours::dates(state)?;
        // The newest day may have been rolled up before it was over.
        let newest = dates.last().copied();
        for date in dates.into_iter().filter(|date| !rolled_up.contains(date) || Some(*date) == newest) {
            for hour in Hours::read(state, date..=date)? {
                match hour? {
                    HourItem::Bucket(block) => self.add_hours(&block),
                    HourItem::Unfinished(_) => {}
                    HourItem::Damage(_) => self.are_incomplete = true,
                }
            }
        }
        Ok(())
    }

    fn read<K: BlockKind>(&mut self, path: &Path, mut add: impl FnMut(&mut Self, Block<K>)) -> Result<(), StoreError> {
        for item in Blocks::<K>::open(path)?.into_iter().flatten() {
            match item? {
                Item::Block(found) => add(self, found.block),
                Item::Damage(_) | Item::Tail(_) => self.are_incomplete = true,
            }
        }
        Ok(())
    }

    fn has_user(&self, args: &Args) -> bool {
        args.user.as_ref().is_none_or(|user| self.users.contains(user))
    }

    /// For a range, one existing port is enough.
    fn has_port(&self, args: &Args) -> bool {
        args.port.as_ref().is_none_or(|ports| !ports.is_disjoint(&self.ports))
    }

    fn have(&self, args: &Args) -> bool {
        self.has_user(args) && self.has_port(args)
    }

    fn refusal(&self, args: &Args) -> Failure {
        let refuse = |what: String| Failure::new(Code::Usage, anyhow::Error::msg(what));
        if let Some(user) = args.user.as_ref().filter(|_| !self.has_user(args)) {
            let failure = refuse(format!("there is no user `{user}`, in the configuration or in the logs"));
            return match nearest(user, self.users.iter().map(String::as_str)) {
                Some(name) => failure.help(format!("did you mean `{name}`?")),
                None => failure.help("`flow-agent show top --limit 0` lists the users of this month"),
            };
        }
        let asked = spec::text(args.port.iter().flatten().copied());
        let failure = refuse(format!("port {asked} is not watched and was never counted"));
        let likely = args.port.iter().flatten().next().map(ToString::to_string).and_then(|port| {
            let known: Vec<String> = self.ports.iter().map(ToString::to_string).collect();
            nearest(&port, known.iter().map(String::as_str)).map(ToOwned::to_owned)
        });
        match likely {
            Some(port) => failure.help(format!("did you mean `{port}`?")),
            None => failure.help("add it to `ports.watch`, or add a file that names it to `ports.files`"),
        }
    }
}

/// The paths in a directory; empty if there is no such directory.
#[expect(clippy::disallowed_methods, reason = "edge: files")]
fn files(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = StoreError::io("read", directory);
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(failed)?,
    };
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}
