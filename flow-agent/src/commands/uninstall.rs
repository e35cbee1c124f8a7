//! `flow-agent uninstall`: takes what this instance has in the kernel out of it, and keeps the logs.

use crate::backend::{ebpf, iptables};
use crate::cli::{Common, output};
use crate::commands::run;
use crate::config::Config;
use crate::exit::{Code, Failure, chain};
use crate::store::{StateDir, instance};

/// Take links, filters, pins and chains of this state directory's agent out of the kernel; the logs stay
///
/// What was counted since the last bucket is written first. Stop the agent before.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Writes what is left, removes what is ours, and says what that was.
///
/// # Errors
/// Exit code 3 for the configuration, 4 for the kernel, 5 while an agent runs.
pub fn execute(common: &Common, _args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    let state = StateDir::new(&config.state_dir);
    let Some(id) = instance::read(&state)? else {
        output::print(&format!("no agent ever ran with {}: nothing to remove\n", config.state_dir.display()))?;
        return Ok(Code::Done);
    };
    drop(state.lock_run().map_err(|error| Failure::from(error).help("stop the agent first: it writes a last bucket"))?);
    let rules = match iptables::survey(&id) {
        Ok(sets) => sets.len(),
        Err(error) => {
            tracing::warn!(error = %chain(&error), "iptables cannot be asked: if rules of ours are there, they stay");
            0
        }
    };
    if rules > 0 || !ebpf::survey(&config.bpffs, &id)?.sets.is_empty() {
        write_last_bucket(&config);
    }
    let mut removed = ebpf::uninstall(&config.bpffs, &id)?;
    if rules > 0 {
        removed.extend(iptables::uninstall(&id)?);
    }
    let mut text: String = removed.iter().map(|what| format!("removed: {what}\n")).collect();
    if removed.is_empty() {
        text += "nothing of this agent is in the kernel\n";
    }
    output::print(&format!("{text}the logs stay in {}\n", config.state_dir.display()))?;
    Ok(Code::Done)
}

/// The counters hold what passed since the agent left. They are removed all the same where this fails: they may be
/// what is broken.
fn write_last_bucket(config: &Config) {
    if let Err(failure) = run::once(config.clone()) {
        tracing::warn!("what was counted since the last bucket is not in the logs\n{}", failure.render());
    }
}
