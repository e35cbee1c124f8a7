//! What agents of this and other state directories have in the kernel, for `check` and `uninstall --all`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::backend::ebpf::{self, Stray, Survey};
use crate::backend::iptables::{self, SurveyedRules};
use crate::backend::nftables::{self, SurveyedTable};
use crate::backend::{BackendChoice, BackendError};
use crate::ledger::units::count;

/// One agent's part of the kernel.
#[derive(Debug)]
pub enum InstancePart {
    /// Everything that carries the id of one instance.
    Instance(Instance),
    /// A counter to which no pin leads.
    Stray(Stray),
}

/// Everything in the kernel that carries the id of one instance.
#[derive(Debug)]
pub struct Instance {
    /// Whether it belongs to this state directory.
    pub is_ours: bool,
    pub key: InstanceKey,
    pub survey: Survey,
    pub rules: Vec<SurveyedRules>,
    pub tables: Vec<SurveyedTable>,
}

/// How an instance is identified. Rules carry only a digest of the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceKey {
    Id(String),
    Tag(String),
}

/// Everything that agents have in the kernel, with that of this state directory (whose id is `own`) first.
///
/// # Errors
/// When pins cannot be trusted, belong to a newer release, or cannot be read.
pub fn find(bpffs: &Path, own: Option<&str>, backend: BackendChoice) -> Result<Vec<InstancePart>, BackendError> {
    let mut ids = ebpf::instances(bpffs)?;
    ids.extend(own.map(ToOwned::to_owned));
    let mut rules = rules_by_tag(backend)?;
    let mut tables = tables_by_tag()?;
    let mut instances = Vec::new();
    for id in ids {
        let tag = iptables::instance_tag(&id);
        let survey = ebpf::survey(bpffs, &id)?;
        let rules = rules.remove(&tag).unwrap_or_default();
        let tables = tables.remove(&tag).unwrap_or_default();
        instances.push(Instance { is_ours: own == Some(&id), key: InstanceKey::Id(id), survey, rules, tables });
    }
    let tags: BTreeSet<String> = rules.keys().chain(tables.keys()).cloned().collect();
    instances.extend(tags.into_iter().map(|tag| Instance {
        is_ours: false,
        rules: rules.remove(&tag).unwrap_or_default(),
        tables: tables.remove(&tag).unwrap_or_default(),
        key: InstanceKey::Tag(tag),
        survey: Survey::default(),
    }));
    instances.retain(|instance| {
        instance.survey != Survey::default() || !instance.rules.is_empty() || !instance.tables.is_empty()
    });
    instances.sort_by_key(|instance| !instance.is_ours);
    let mut found: Vec<InstancePart> = instances.into_iter().map(InstancePart::Instance).collect();
    found.extend(ebpf::strays(bpffs)?.into_iter().map(InstancePart::Stray));
    Ok(found)
}

/// The rules of each instance. A failure to read the tables is an error only if the backend is iptables.
fn rules_by_tag(backend: BackendChoice) -> Result<BTreeMap<String, Vec<SurveyedRules>>, BackendError> {
    let tags = match iptables::instances() {
        Ok(tags) => tags,
        Err(error) if backend == BackendChoice::Iptables => return Err(error),
        Err(error) => {
            tracing::debug!(error = %crate::errors::chain(&error), "failed to read the rules");
            return Ok(BTreeMap::new());
        }
    };
    tags.into_iter().map(|tag| Ok((tag.clone(), iptables::survey_tag(&tag)?))).collect()
}

/// The tables of nftables of each instance.
fn tables_by_tag() -> Result<BTreeMap<String, Vec<SurveyedTable>>, BackendError> {
    nftables::instances().into_iter().map(|tag| Ok((tag.clone(), nftables::survey_tag(&tag)?))).collect()
}

impl InstancePart {
    /// The devices that it counts.
    pub fn interfaces(&self) -> BTreeSet<&str> {
        match self {
            Self::Stray(stray) => [stray.interface.as_str()].into(),
            Self::Instance(Instance { survey, rules, tables, .. }) => {
                let attached = survey.attachments.iter().filter(|attachment| attachment.live);
                let by_rules = rules.iter().filter(|set| set.live).flat_map(|set| &set.interfaces);
                let by_tables = tables.iter().filter(|set| set.live).flat_map(|set| &set.interfaces);
                let by_rules = by_rules.chain(by_tables).map(String::as_str);
                attached.map(|attachment| attachment.interface.as_str()).chain(by_rules).collect()
            }
        }
    }

    /// A description on one line, such as `instance 5c1e0f6e7a524a0f (another state directory's): eth0; counters of 3
    /// ports`.
    pub fn describe(&self) -> String {
        let interfaces = match self.interfaces().into_iter().collect::<Vec<_>>() {
            none if none.is_empty() => "not attached to any interface here".to_owned(),
            some => format!("attached to {}", some.join(", ")),
        };
        let Self::Instance(Instance { is_ours, key, survey, rules, tables }) = self else {
            return format!("a counter whose pins are not in this bpffs: {interfaces}");
        };
        let name = match key {
            InstanceKey::Id(id) => format!("instance {id}"),
            InstanceKey::Tag(tag) => format!("rules flow-{tag}-*"),
        };
        let whose = if *is_ours { "this state directory's" } else { "another state directory's" };
        let ports: BTreeSet<u16> = survey
            .sets
            .iter()
            .flat_map(|set| &set.ports)
            .chain(rules.iter().flat_map(|set| &set.ports))
            .chain(tables.iter().flat_map(|set| &set.ports))
            .copied()
            .collect();
        format!("{name} ({whose}): {interfaces}; counters of {}", count(ports.len(), "port"))
    }
}
