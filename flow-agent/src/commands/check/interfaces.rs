//! Section interfaces: which are counted, which cannot be, and what is attached to them.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, Section};
use super::service::ServiceManager;
use crate::backend::ebpf::Survey;
use crate::backend::interface::Interface;
use crate::backend::interfaces::{Patterns, Selection};
use crate::backend::{BackendError, elsewhere, host};
use crate::commands::instances::{self, Instance, InstancePart};
use crate::config::{Config, CountConfig};
use crate::ledger::units::count;
use crate::store::{self, StateDir, instance};

/// The findings about the interfaces that `config` selects.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut chosen = BTreeSet::new();
    let mut findings = match selection(&config.count) {
        Ok((present, selection)) => {
            chosen.extend(selection.chosen.iter().map(|interface| interface.name.clone()));
            of(&present, &selection)
        }
        Err(error) => vec![Finding::error(Section::Interfaces, &error).help(error.help())],
    };
    let watched = watched_last(config);
    let counted: Vec<String> = chosen.iter().cloned().collect();
    findings.extend(
        elsewhere::look(&watched, &counted)
            .unwrap_or_default()
            .iter()
            .map(|elsewhere| Finding::warn(Section::Interfaces, elsewhere.to_string()).help(elsewhere.help())),
    );
    findings.extend(attached(config, &chosen));
    findings
}

fn selection(count: &CountConfig) -> Result<(Vec<Interface>, Selection), BackendError> {
    let patterns = Patterns::parse(&count.interfaces)?;
    let patterns = if count.backend.is_by_rules() { patterns.for_rules() } else { patterns };
    let patterns = patterns.allow_stacked(count.allow_stacked);
    let present = host::present(&patterns)?;
    let selection = patterns.select(&present, &BTreeSet::new());
    Ok((present, selection))
}

/// The ports that the last agent watched, and those that the configuration names.
fn watched_last(config: &Config) -> BTreeSet<u16> {
    let listed = store::ports::read(&StateDir::new(&config.state_dir)).ok().flatten();
    let listed = listed.into_iter().flat_map(|list| list.ports.into_keys());
    listed.chain(config.ports.watch.iter().copied()).collect()
}

fn of(present: &[Interface], selection: &Selection) -> Vec<Finding> {
    let mut findings = Vec::new();
    let names = |interfaces: &[Interface]| {
        interfaces.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    for name in &selection.absent {
        let finding = Finding::fail(Section::Interfaces, format!("interface `{name}` does not exist"));
        findings.push(finding.help(format!("existing interfaces: {}", names(present))));
    }
    for interface in &selection.refused {
        let (name, device_type) = (&interface.name, interface.device_type);
        let what = format!("interface `{name}` has device type {device_type}, whose frames cannot be read");
        findings.push(Finding::fail(Section::Interfaces, what).help("choose other interfaces".to_owned()));
    }
    for name in &selection.unreadable {
        let what = format!("`{name}` matches but is not counted, because its frames cannot be read");
        findings.push(Finding::warn(Section::Interfaces, what));
    }
    if let Err(error) = selection.refuse_stacked() {
        findings.push(Finding::error(Section::Interfaces, &error).help(error.help()));
    }
    for left in &selection.left_out {
        let finding = if left.is_missed { Finding::fail } else { Finding::ok };
        findings.push(finding(Section::Interfaces, left.to_string()));
    }
    if !selection.chosen.is_empty() {
        findings.push(Finding::ok(Section::Interfaces, format!("counted: {}", names(&selection.chosen))));
    } else if findings.is_empty() {
        let what = "no interface is counted: no default route in any table, or no match for a glob";
        let finding = Finding::fail(Section::Interfaces, what);
        let help = format!("name them in `count.interfaces`; existing interfaces: {}", names(present));
        findings.push(finding.help(help));
    }
    findings
}

/// What agents of this and of other state directories have in the kernel.
fn attached(config: &Config, chosen: &BTreeSet<String>) -> Vec<Finding> {
    // A damaged id is reported by the section `state`.
    let own = instance::read(&StateDir::new(&config.state_dir)).unwrap_or_default();
    match instances::find(&config.bpffs, own.as_deref(), config.count.backend) {
        Ok(found) => found.iter().flat_map(|found| of_instance(found, chosen)).collect(),
        // Only root can look; the section `kernel` says so.
        Err(BackendError::Path { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => Vec::new(),
        Err(error) => vec![Finding::error(Section::Interfaces, &error).help(error.help())],
    }
}

/// The chosen interfaces on which this instance counts nothing at all, although it has counters in the kernel.
fn uncounted(found: &InstancePart, chosen: &BTreeSet<String>) -> Vec<Finding> {
    let InstancePart::Instance(Instance { survey, .. }) = found else { return Vec::new() };
    let counted = found.interfaces();
    let is_named = |name: &str| survey.attachments.iter().any(|attachment| attachment.interface == name);
    let missing = chosen.iter().filter(|name| !counted.contains(name.as_str()) && !is_named(name));
    missing
        .map(|name| {
            let what = format!("`{name}` should be counted, but nothing of this agent is attached to it");
            Finding::fail(Section::Interfaces, what).help(reattach())
        })
        .collect()
}

/// An instance of another state directory is only listed, unless it counts where this one would.
fn of_instance(found: &InstancePart, chosen: &BTreeSet<String>) -> Vec<Finding> {
    let described = found.describe();
    if let InstancePart::Instance(Instance { is_ours: true, survey, .. }) = found {
        let mut findings = vec![Finding::ok(Section::Interfaces, described)];
        findings.extend(of_survey(survey, chosen));
        findings.extend(uncounted(found, chosen));
        return findings;
    }
    if found.interfaces().iter().any(|interface| chosen.contains(*interface)) {
        let finding = Finding::fail(Section::Interfaces, format!("{described}, where this agent should count"));
        return vec![finding.help(
            "start that agent with its own state directory, or remove the counter with `flow-agent uninstall --all`, \
             which asks first"
                .to_owned(),
        )];
    }
    vec![Finding::ok(Section::Interfaces, described)]
}

fn reattach() -> String {
    let start = ServiceManager::here().start();
    format!("a running agent attaches again within seconds; if none is running: {start}")
}

/// A program that is no longer attached is a failure if its interface is to be counted.
fn of_survey(survey: &Survey, chosen: &BTreeSet<String>) -> Vec<Finding> {
    let mut directions: BTreeMap<(&str, bool), Vec<&str>> = BTreeMap::new();
    for attachment in &survey.attachments {
        directions.entry((&attachment.interface, attachment.live)).or_default().push(attachment.direction);
    }
    let attachment = |((interface, live), directions): (&(&str, bool), &Vec<&str>)| {
        let directions = directions.join(" and ");
        match live {
            true => Finding::ok(Section::Interfaces, format!("attached to `{interface}`: {directions}")),
            false => {
                let finding = if chosen.contains(*interface) { Finding::fail } else { Finding::warn };
                finding(Section::Interfaces, format!("no longer attached to `{interface}`: {directions}"))
                    .help(reattach())
            }
        }
    };
    let mut findings: Vec<_> = directions.iter().map(attachment).collect();
    for set in &survey.sets {
        let (path, ports) = (set.path.display(), count(set.ports.len(), "port"));
        findings.push(Finding::ok(Section::Interfaces, format!("counters of {ports} in `{path}`")));
    }
    findings
}

#[cfg(test)]
mod tests;
