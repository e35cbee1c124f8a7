//! `flow-agent uninstall`: removes everything that this instance has in the kernel, and keeps the logs.

mod all;

use super::{Common, instances, output};
use crate::answer;
use crate::backend::BackendChoice;
use crate::backend::{ebpf, interfaces, iptables, nftables};
use crate::commands::run;
use crate::config::Config;
use crate::errors::chain;
use crate::exit::{Code, Failure};
use crate::ledger::record::{BackendKind, HourSeal, Quality};
use crate::store::hours::{self, HourItem, Hours};
use crate::store::{StateDir, StoreError, instance, ports};

/// Remove links, filters, pins, tables and chains of this state directory's agent from the kernel; the logs stay
///
/// What was counted since the last bucket is written first. Stop the agent beforehand: `systemctl stop flow-agent`, or
/// Ctrl-C where it was started by hand.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also those of agents with another or a lost state directory: shows what is in the kernel, and asks for
    /// confirmation
    #[arg(long)]
    all: bool,
    /// Do not ask for confirmation
    #[arg(long, requires = "all")]
    yes: bool,
}

/// Writes the last bucket, removes what belongs to this state directory, and prints what that was.
///
/// # Errors
/// Exit code 3 for the configuration, 4 for the kernel, 5 while an agent runs or when the last bucket cannot be
/// written.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    if args.all {
        return all::execute(&config, args.yes);
    }
    let state = StateDir::new(&config.state_dir);
    let Some(id) = instance::read(&state)? else {
        let there = config.state_dir.display();
        output::print(&format!(
            "no agent ever ran with {there}, or its file `instance` was lost: nothing to remove\n"
        ))?;
        mention_others(&config)?;
        return Ok(Code::Done);
    };
    let removed = remove_own(&config, &state, &id)?;
    let mut text = told(&removed);
    if removed.is_empty() {
        text += "nothing of this agent is in the kernel\n";
    }
    output::print(&format!("{text}the logs stay in {}\n", config.state_dir.display()))?;
    if removed.is_empty() {
        mention_others(&config)?;
    }
    Ok(Code::Done)
}

/// Mentions other agents' counters: whoever expected something to be removed may have lost the state directory that it
/// belongs to.
fn mention_others(config: &Config) -> Result<(), Failure> {
    if !instances::find(&config.bpffs, None, config.count.backend)?.is_empty() {
        output::print(
            "other agents have counters in the kernel: `flow-agent uninstall --all` shows them and asks for \
             confirmation\n",
        )?;
    }
    Ok(())
}

/// One line for each thing that was removed.
fn told(removed: &[String]) -> String {
    removed.iter().map(|what| format!("removed: {what}\n")).collect()
}

/// Writes the last bucket, and removes what the instance `id` of this state directory has in the kernel. Returns what
/// was removed.
fn remove_own(config: &Config, state: &StateDir, id: &str) -> Result<Vec<String>, Failure> {
    drop(state.lock_run().map_err(|error| Failure::from(error).help("stop the agent first: it writes a last bucket"))?);
    let rules = match iptables::survey(id) {
        Ok(sets) => sets.len(),
        Err(error) => {
            tracing::warn!(error = %chain(&error), "cannot query iptables: rules of ours, if any, stay");
            0
        }
    };
    let has_table = nftables::has_table(id);
    if has_table || rules > 0 || !ebpf::survey(&config.bpffs, id)?.sets.is_empty() {
        write_last_bucket(config, state)?;
    }
    let mut removed = ebpf::uninstall(&config.bpffs, id)?;
    if has_table {
        removed.extend(nftables::uninstall(id)?);
    }
    if rules > 0 {
        removed.extend(iptables::uninstall(id)?);
    }
    // An agent that was killed left its socket.
    if let Some(path) = config.answer.socket_of(id) {
        match answer::remove_stale(&path) {
            Ok(true) => removed.push(format!("socket {}", path.display())),
            Ok(false) => {}
            Err(error) => tracing::debug!(error = %chain(&error), "not the socket of an agent of ours"),
        }
    }
    Ok(removed)
}

/// Writes the bytes that passed since the agent stopped, which only the counters hold.
///
/// # Errors
/// When the log cannot be written: then the counters must stay until it can. If the counters cannot be read, that is
/// only logged and they are removed all the same, because they may be what is broken.
fn write_last_bucket(config: &Config, state: &StateDir) -> Result<(), Failure> {
    let Err(failure) = as_counted_last(config.clone(), state).and_then(run::once) else { return Ok(()) };
    if matches!(failure.error.downcast_ref(), Some(StoreError::Io { .. })) {
        return Err(failure);
    }
    tracing::warn!("what was counted since the last bucket is not in the logs\n{}", failure.render());
    Ok(())
}

/// `config` with the ports, interfaces and backend that were last counted: they may have been given on the command
/// line, and what the configuration names may no longer exist.
fn as_counted_last(mut config: Config, state: &StateDir) -> Result<Config, Failure> {
    match ports::read(state) {
        Ok(Some(list)) => {
            // An agent that has not found any listening port yet still looks for them.
            config.ports.listening &= list.ports.is_empty();
            config.ports.watch = list.ports.into_keys().collect();
            // A file that is missing now and has no last good list would be an error.
            config.ports.files.retain(|file| list.files.contains_key(&file.path));
        }
        Ok(None) => {}
        Err(error @ StoreError::Damaged { .. }) => tracing::warn!(error = %chain(&error), "the last good port list"),
        Err(error) => return Err(error.into()),
    }
    let Some(seal) = newest_seal(state)? else { return Ok(config) };
    if !seal.interfaces.is_empty() {
        config.count.interfaces = seal.interfaces.iter().map(|name| interfaces::only(name)).collect();
    }
    config.count.backend = match seal.backend {
        Some(BackendKind::Ebpf) => BackendChoice::Ebpf,
        Some(BackendKind::Nftables) => BackendChoice::Nftables,
        Some(BackendKind::Iptables) => BackendChoice::Iptables,
        None => config.count.backend,
    };
    config.count.count = seal.count.unwrap_or(config.count.count);
    Ok(config)
}

/// The seal of the newest bucket that was counted rather than imported.
fn newest_seal(state: &StateDir) -> Result<Option<HourSeal>, Failure> {
    let Some(date) = hours::dates(state)?.pop() else { return Ok(None) };
    let mut newest = None;
    for hour in Hours::read(state, date..=date)? {
        if let HourItem::Bucket(block) = hour?
            && block.seal.quality != Quality::Import
        {
            newest = Some(block.seal);
        }
    }
    Ok(newest)
}
