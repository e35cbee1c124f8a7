//! Section ports: how many are counted, for whom, what prevents it, and how much memory it takes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use flow_common::wire;

use super::finding::{Finding, Section};
use crate::backend::{BackendError, ebpf, nat};
use crate::clock;
use crate::config::Config;
use crate::ledger::units::{Human, count};
use crate::ports::file::Reader;
use crate::ports::find::Finder;
use crate::ports::wanted::{SourceReport, Wanted, WantedError, Warning};
use crate::ports::{PortFile, PortOwners, spec};
use crate::store::{self, StateDir};

/// The findings about the ports that `config` selects.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    match find(config) {
        Ok(wanted) => {
            let mut findings = of(&wanted);
            if !config.count.backend.is_by_rules() {
                findings.push(memory(wanted.ports.len(), config.count.max_ports));
            }
            findings.extend(nat::look(&wanted.ports.keys().copied().collect()).iter().map(touched));
            findings
        }
        Err(error) => refused(&error, config),
    }
}

/// The findings without the kernel's part: which ports, for whom, and what is wrong with the files that name them.
pub(super) fn configured(config: &Config) -> Vec<Finding> {
    find(config).map_or_else(|error| refused(&error, config), |wanted| of(&wanted))
}

fn find(config: &Config) -> Result<Wanted, WantedError> {
    let Config { node, ports, users, count, .. } = config;
    Finder::default().find(node, ports, users, count.max_ports, &last_good(config), clock::now())
}

/// Why it is not known what to count. If it is a file, other files may be faulty as well, so each is examined by
/// itself.
fn refused(error: &WantedError, config: &Config) -> Vec<Finding> {
    match error {
        WantedError::File(_) => {
            let (mut reader, last_good, now) = (Reader::default(), last_good(config), clock::now().wall);
            let each = |file: &PortFile| match (reader.read(file), last_good.get(&file.path)) {
                (Ok(found), _) => source(&SourceReport::new(file.path.clone(), &found), now),
                (Err(error), Some(owners)) => warning(&Warning::FileUnread { ports: owners.len(), error }),
                (Err(error), None) => refusal(&error.into()),
            };
            config.ports.files.iter().map(each).collect()
        }
        WantedError::Listening(_) | WantedError::TooMany { .. } | WantedError::Nothing => vec![refusal(error)],
    }
}

fn refusal(error: &WantedError) -> Finding {
    Finding::error(Section::Ports, error).help(error.help())
}

/// The last good list of every file, with which `run` would start. Damage to it is reported by the section `state`.
fn last_good(config: &Config) -> BTreeMap<PathBuf, PortOwners> {
    match store::ports::read(&StateDir::new(&config.state_dir)) {
        Ok(Some(list)) => list.files,
        Ok(None) | Err(_) => BTreeMap::new(),
    }
}

fn of(wanted: &Wanted) -> Vec<Finding> {
    let owned = wanted.ports.values().flatten().count();
    let mut text = spec::text(wanted.ports.keys().copied());
    if text.len() > 60 {
        let cut = text[..60].rfind(',').unwrap_or(0);
        text.truncate(cut);
        text += ",…";
    }
    let colon = if text.is_empty() { "" } else { ": " };
    let ports = count(wanted.ports.len(), "port");
    let what = format!("{ports}, {owned} with an owner{colon}{text}");
    let mut findings = vec![Finding::ok(Section::Ports, what)];
    findings.extend(wanted.sources.iter().map(|found| source(found, clock::now().wall)));
    findings.extend(wanted.warnings.iter().map(warning));
    findings
}

/// The finding about what one port file contributes. If its last good list replaces it, another finding says why.
fn source(found: &SourceReport, now: DateTime<Utc>) -> Finding {
    let complaints = match found.complaints {
        _ if found.is_last_good || found.is_lacking => String::new(),
        0 => ", no problems".to_owned(),
        complaints => format!(", {}", count(complaints, "complaint")),
    };
    let age = found.modified_at.and_then(|at| (now - DateTime::<Utc>::from(at)).to_std().ok());
    let age = age.map(|age| Duration::from_secs(age.as_secs()));
    let age = age.map_or_else(String::new, |age| format!(", changed {} ago", humantime::format_duration(age)));
    let which = if found.is_last_good { "its last good list: " } else { "" };
    let (ports, owners) = (count(found.ports, "port"), count(found.owners, "owner"));
    Finding::ok(Section::Ports, format!("`{}`: {which}{ports}, {owners}{complaints}{age}", found.path.display()))
}

fn warning(warning: &Warning) -> Finding {
    Finding::warn(Section::Ports, warning.to_string())
}

fn touched(touch: &nat::Touch) -> Finding {
    Finding::warn(Section::Ports, touch.to_string()).help(touch.help().to_owned())
}

/// How much memory the maps will take, all of it resident.
fn memory(ports: usize, max_ports: u32) -> Finding {
    let size = || Ok((ebpf::possible_cpus()?, ebpf::slots_for(ports, max_ports)?));
    match size() {
        Ok((cpus, slots)) => {
            let bytes = Human(map_bytes(cpus, slots).into());
            let what = format!("the maps take {bytes}: {slots} slots on each of {cpus} possible CPUs");
            Finding::ok(Section::Ports, what)
        }
        Err::<_, BackendError>(error) => Finding::error(Section::Ports, &error).help(error.help()),
    }
}

/// The size of the cells and the port table, in bytes.
fn map_bytes(cpus: u32, slots: u32) -> u64 {
    let lines = u64::from(cpus) * u64::from(wire::lines_for(slots));
    lines * size_of::<wire::Line>() as u64 + size_of::<wire::PortSlots>() as u64
}

#[cfg(test)]
mod tests;
