//! Who is billed for a line: a user of the configuration, a user that only the node knows, or nobody.

use std::collections::HashMap;

use crate::ledger::user::User;

/// Who is billed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatementOwner {
    /// A user by a name from the configuration, or as `NODE/NAME`.
    User(String),
    /// A port without a known owner, on all nodes together.
    Port(u16),
}

/// All users of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    users: Vec<User>,
    by_name: HashMap<String, usize>,
    by_port: HashMap<u16, Vec<usize>>,
}

impl Directory {
    /// A directory of `users`, whose names must differ and whose ports must not overlap on any node.
    pub fn new(users: Vec<User>) -> Self {
        let mut directory = Self::default();
        for (index, user) in users.iter().enumerate() {
            directory.by_name.insert(user.name.clone(), index);
            for port in &user.ports {
                directory.by_port.entry(*port).or_default().push(index);
            }
        }
        directory.users = users;
        directory
    }

    /// All users.
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// The user of that name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.by_name.get(name).map(|index| &self.users[*index])
    }

    /// The owner who is billed for a line of `node` with this port and user.
    ///
    /// The node knew at the time who owned a port, so a name on a line is never reassigned. It stands for the
    /// configured user of that name if that user exists on the node. Any other name belongs to the node, and so does
    /// the port's own number, with which programs label a port without a name, unless the user who is called so owns
    /// the port there.
    pub fn owner(&self, node: &str, port: u16, user: Option<&str>) -> StatementOwner {
        match user {
            Some(name) => {
                let is_meant = |entry: &User| name != port.to_string() || entry.ports.contains(&port);
                let is_here = self.user(name).is_some_and(|entry| entry.is_on(node) && is_meant(entry));
                StatementOwner::User(if is_here { name.to_owned() } else { format!("{node}/{name}") })
            }
            None => {
                let candidates = self.by_port.get(&port).into_iter().flatten();
                let entry = candidates.map(|index| &self.users[*index]).find(|entry| entry.is_on(node));
                entry.map_or(StatementOwner::Port(port), |entry| StatementOwner::User(entry.name.clone()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
