//! PURE: combines the users of `[[users]]` and `users_file`, and checks that each port belongs to only one user on
//! every node.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::error::{ConfigError, FilePosition, PortOverlap};
use crate::ledger::user::User;

/// A user, with the position of its declaration.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Declared {
    pub(super) at: FilePosition,
    pub(super) ports: Vec<(RangeInclusive<u16>, FilePosition)>,
    pub(super) user: User,
}

/// All users of both sources, in their order.
pub(super) fn merge(declared: &[Declared], from_file: &[Declared]) -> Result<Vec<User>, ConfigError> {
    let all = || declared.iter().chain(from_file);
    let mut names: BTreeMap<&str, &FilePosition> = BTreeMap::new();
    for Declared { at, user, .. } in all() {
        if let Some(first) = names.insert(&user.name, at) {
            let (place, name, first) = (at.clone(), user.name.clone(), first.clone());
            return Err(ConfigError::Twice { place, what: "user", name, first });
        }
    }
    let mut owners: BTreeMap<u16, Vec<(&Declared, &FilePosition)>> = BTreeMap::new();
    for user in all() {
        for (range, place) in &user.ports {
            for port in range.clone() {
                let owners = owners.entry(port).or_default();
                if let Some(overlap) = owners.iter().find_map(|other| overlap(port, (user, place), *other)) {
                    return Err(Box::new(overlap).into());
                }
                owners.push((user, place));
            }
        }
    }
    Ok(all().map(|declared| declared.user.clone()).collect())
}

fn overlap(port: u16, one: (&Declared, &FilePosition), other: (&Declared, &FilePosition)) -> Option<PortOverlap> {
    let (user, other_user) = (&one.0.user, &other.0.user);
    // If a user's own ranges overlap, nobody else is affected.
    if user.name == other_user.name {
        return None;
    }
    let node = common_node(&user.nodes, &other_user.nodes)?;
    Some(PortOverlap {
        place: one.1.clone(),
        port,
        user: user.name.clone(),
        other: other_user.name.clone(),
        other_place: other.1.clone(),
        node: node.map(str::to_owned),
    })
}

/// `Some(None)` if both are on every node, `Some(Some(name))` for the first node that they share, `None` if they share
/// none.
fn common_node<'a>(left: &'a BTreeSet<String>, right: &'a BTreeSet<String>) -> Option<Option<&'a str>> {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => Some(None),
        (true, false) => Some(right.first().map(String::as_str)),
        (false, true) => Some(left.first().map(String::as_str)),
        (false, false) => left.intersection(right).next().map(|node| Some(node.as_str())),
    }
}
