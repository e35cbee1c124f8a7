//! Section config: whether the configuration is valid and consistent.

use std::collections::BTreeSet;

use super::finding::{Finding, Section};
use crate::commands::Common;
use crate::config::{self, Config};
use crate::ledger::units::count;

/// The findings about the configuration, and the configuration itself if it is valid.
pub(super) fn findings(common: &Common) -> (Vec<Finding>, Option<Config>) {
    match config::load(common.config.as_deref(), common.state_dir.as_deref()) {
        Ok(config) => (of(&config), Some(config)),
        Err(error) => (vec![Finding::error(Section::Config, &error).help(error.help())], None),
    }
}

fn of(config: &Config) -> Vec<Finding> {
    let file = match &config.path {
        Some(path) => path.display().to_string(),
        None => format!("no {}: defaults, every listening port", config::DEFAULT_PATH),
    };
    let what = format!("{file}: node `{}`, days in {}", config.node, config.timezone);
    let mut findings = vec![Finding::ok(Section::Config, what)];
    if !config.users.is_empty() {
        let addresses = config.users.iter().filter(|user| user.email.is_some()).count();
        let what = format!("{}, {addresses} of them with an address", count(config.users.len(), "user"));
        findings.push(Finding::ok(Section::Config, what));
    }
    if let (Some(path), Some(encoding)) = (&config.users_file, config.users_encoding) {
        let what = format!("`{}` is not UTF-8: it was read as {encoding}", path.display());
        let help = "check the names; save it as \"CSV UTF-8\" to avoid guessing".to_owned();
        findings.push(Finding::warn(Section::Config, what).help(help));
    }
    findings.extend(unknown_nodes(config));
    findings
}

/// Nodes that users name but that do not exist: such a mistake leaves the user without a statement.
fn unknown_nodes(config: &Config) -> Option<Finding> {
    // A node's own configuration has no list of nodes to compare with.
    if config.nodes.is_empty() {
        return None;
    }
    let known: BTreeSet<&str> = config
        .nodes
        .iter()
        .flat_map(|node| std::iter::once(&node.name).chain(&node.aliases))
        .chain([&config.node])
        .map(String::as_str)
        .collect();
    let named = config.users.iter().flat_map(|user| user.nodes.iter().map(move |node| (&user.name, node)));
    let unknown: Vec<_> = named
        .filter(|(_, node)| !known.contains(node.as_str()))
        .map(|(user, node)| format!("`{node}` of user `{user}`"))
        .collect();
    (!unknown.is_empty()).then(|| {
        Finding::warn(Section::Config, format!("no such node: {}", unknown.join(", ")))
            .help(format!("known nodes: {}", known.into_iter().collect::<Vec<_>>().join(", ")))
    })
}
