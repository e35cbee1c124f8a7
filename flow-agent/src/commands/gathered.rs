//! The users of the configuration with their nodes' current names, and the nodes' daily files: the input of reports and
//! quotas.

use std::path::PathBuf;

use crate::config::Config;
use crate::ledger::block::Daily;
use crate::ledger::statement::{Directory, NodeMonth};
use crate::ledger::user::User;
use crate::store::StoreError;
use crate::store::blocks::{Blocks, Item};
use crate::store::damage::Damage;

/// The users of the configuration, with node aliases resolved. Without `[[nodes]]`, only the part of `used` remains that
/// counts on this node.
pub(super) fn directory(config: &Config) -> Directory {
    let on_nodes = |user: &User| User {
        used: if config.nodes.is_empty() { user.used_on(&config.node) } else { user.used },
        nodes: user.nodes.iter().map(|node| name_of(config, node).to_owned()).collect(),
        shares: user.shares.iter().map(|(node, share)| (name_of(config, node).to_owned(), *share)).collect(),
        ..user.clone()
    };
    Directory::new(config.users.iter().map(on_nodes).collect())
}

/// The current name of a node, which `node` may be an alias of.
pub(super) fn name_of<'a>(config: &'a Config, node: &'a str) -> &'a str {
    let found = config.nodes.iter().find(|candidate| candidate.aliases.iter().any(|alias| alias == node));
    found.map_or(node, |found| &found.name)
}

/// Adds the days in daily files; returns what could not be added, each with the reason.
pub(super) fn add_files(paths: &[PathBuf], figures: &mut NodeMonth<'_>) -> Result<Vec<String>, StoreError> {
    let mut damages = Vec::new();
    for path in paths {
        for item in Blocks::<Daily>::open(path)?.into_iter().flatten() {
            match item? {
                Item::Block(found) => {
                    if let Err(error) = figures.add(&found.block) {
                        damages.push(format!("{}:{}: {error}", path.display(), found.line));
                    }
                }
                Item::Damage(damage) => damages.push(Damage::of_block(path, &damage).to_string()),
                Item::Tail(tail) => damages.push(Damage::of_block(path, &tail.damage).to_string()),
            }
        }
    }
    Ok(damages)
}
