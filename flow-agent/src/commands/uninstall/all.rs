//! `uninstall --all`: removes what agents of any state directory have in the kernel, after a person has agreed.

use std::io;

use anyhow::Context as _;

use crate::backend::{BackendError, ebpf, iptables, nftables};
use crate::commands::instances::{self, Instance, InstanceKey, InstancePart};
use crate::commands::output;
use crate::config::Config;
use crate::errors::chain;
use crate::exit::{Code, Failure};
use crate::store::{StateDir, instance};

/// Shows what there is, asks unless `yes` is set, and removes it.
///
/// # Errors
/// Exit code 4 for the kernel, 5 while an agent runs or when this state directory's last bucket cannot be written.
/// Everything that can be removed is removed nevertheless.
pub(super) fn execute(config: &Config, yes: bool) -> Result<Code, Failure> {
    let state = StateDir::new(&config.state_dir);
    let own = instance::read(&state).unwrap_or_else(|error| {
        tracing::warn!(error = %chain(&error), "cannot tell what belongs to this state directory");
        None
    });
    let found = instances::find(&config.bpffs, own.as_deref(), config.count.backend)?;
    if found.is_empty() {
        output::print("no agent has anything in the kernel\n")?;
        return Ok(Code::Done);
    }
    let list: String = found.iter().map(|found| format!("  {}\n", found.describe())).collect();
    output::print(&format!("in the kernel:\n{list}"))?;
    if !yes && !is_agreed()? {
        output::print("nothing was changed\n")?;
        return Ok(Code::Incomplete);
    }
    let mut failed = None;
    for found in found {
        let removed = match &found {
            InstancePart::Instance(Instance { is_ours: true, key: InstanceKey::Id(id), .. }) => {
                super::remove_own(config, &state, id)
            }
            InstancePart::Instance(Instance { key, rules, tables, .. }) => {
                remove(config, key, !rules.is_empty(), !tables.is_empty()).map_err(Failure::from)
            }
            InstancePart::Stray(stray) => {
                let what = format!("counter on {} ({})", stray.interface, stray.direction);
                ebpf::remove_stray(stray).map(|()| vec![what]).map_err(Failure::from)
            }
        };
        match removed {
            Ok(removed) => output::print(&super::told(&removed))?,
            // The others are removed nevertheless.
            Err(failure) => {
                failed.get_or_insert(failure);
                true
            }
        };
    }
    match failed {
        Some(failure) => Err(failure),
        None => Ok(Code::Done),
    }
}

fn is_agreed() -> Result<bool, Failure> {
    output::print(
        "Remove all of this? What other state directories' counters hold since their last bucket is lost. Type yes: ",
    )?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("failed to read the answer")?;
    Ok(answer.trim() == "yes")
}

fn remove(config: &Config, key: &InstanceKey, has_rules: bool, has_table: bool) -> Result<Vec<String>, BackendError> {
    let (mut removed, tag) = match key {
        InstanceKey::Id(id) => (ebpf::uninstall(&config.bpffs, id)?, iptables::instance_tag(id)),
        InstanceKey::Tag(tag) => (Vec::new(), tag.clone()),
    };
    if has_table {
        removed.extend(nftables::uninstall_tag(&tag)?);
    }
    if has_rules {
        removed.extend(iptables::uninstall_tag(&tag)?);
    }
    Ok(removed)
}
