//! Section nodes: whether the main node can fetch their days, and whether these are whole.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::finding::{Finding, Section};
use crate::config::Config;
use crate::errors::chain;
use crate::gather::NodeSource;
use crate::gather::{CopyProgram, FetchError, GatherConfig, GatherError, client, gather};
use crate::ledger::calendar;
use crate::ledger::month::Month;
use crate::ledger::statement::MonthDays;

/// What confines the main node's key on a node, for the person who sets it up.
pub(super) const CONFINEMENT: &str = "on the node: `flow-agent check --enroll-main` creates a user that can only \
read `daily/` (`ChrootDirectory` of the state directory, then `state_dir = \"/\"` here; `ForceCommand internal-sftp \
-R`; `restrict,from=\"MAIN\"` before the key)";

/// Fetches this month's file of every node into a temporary directory.
pub(super) fn findings(config: &Config, now: DateTime<Utc>) -> Vec<Finding> {
    if config.nodes.is_empty() {
        return Vec::new();
    }
    let fetched = tempfile::tempdir().map_err(|error| error.to_string()).and_then(|into| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let month = Month::of(calendar::local(config.timezone, now).date_naive());
        let rules = GatherConfig {
            known_hosts: config.report.known_hosts.clone(),
            deadline: config.report.deadline,
            months: vec![month],
            add_up: MonthDays::of(month, 1),
            into: into.path().to_owned(),
            known: HashMap::new(),
        };
        let runtime = runtime.map_err(|error| error.to_string())?;
        let (nodes, client) = runtime.block_on(async { (gather(&rules, &config.nodes, |_| {}).await, client().await) });
        // A copy that was given up may hang in the kernel; do not wait for it.
        runtime.shutdown_background();
        Ok((month, nodes, client))
    });
    let (month, nodes, (client, version)) = match fetched {
        Ok(fetched) => fetched,
        Err(error) => return vec![Finding::fail(Section::Nodes, error)],
    };
    let mut findings = Vec::new();
    for files in nodes {
        let node = &files.node;
        findings.push(match &files.error {
            None => Finding::ok(Section::Nodes, format!("{node}: `daily/{month}.jsonl` exists and is intact")),
            Some(error @ GatherError::Fetch(FetchError::Absent { .. })) => {
                Finding::warn(Section::Nodes, format!("{node}: reached, but {error}")).help(error.help(node))
            }
            Some(error) => Finding::fail(Section::Nodes, format!("{node}: {}", chain(error))).help(error.help(node)),
        });
    }
    if config.nodes.iter().any(|node| matches!(node.source, NodeSource::Ssh { .. })) {
        findings.push(Finding::ok(
            Section::Nodes,
            match client {
                CopyProgram::Scp => format!("{version}: files are fetched by scp"),
                CopyProgram::Sftp => {
                    format!("{version}: its scp does not support SFTP; files are fetched by `sftp -b`")
                }
            },
        ));
        findings.push(Finding::ok(Section::Nodes, format!("to restrict the key of this main node {CONFINEMENT}")));
    }
    findings
}
