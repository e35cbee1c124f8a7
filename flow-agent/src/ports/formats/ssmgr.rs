//! PURE: the accounts of shadowsocks-manager, from the SQLite database of a node or of the manager itself.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use serde_json::Value;

use super::sqlite::{self, Columns, PanelTables};
use super::{Format, FormatError};
use crate::ports::{Claim, Complaint, Detail, ListPosition, Listed, spec};

const EXPECTED: &str = "a database of shadowsocks-manager";

/// Reads `db.sqlite` of shadowsocks-manager.
pub struct Ssmgr;

impl Format for Ssmgr {
    fn parse(&self, bytes: &[u8]) -> Result<Listed, FormatError> {
        sqlite::parse(bytes, self)
    }

    fn tables(&self) -> Option<&dyn PanelTables> {
        Some(self)
    }
}

impl PanelTables for Ssmgr {
    fn ports(&self, database: &Connection) -> Result<Listed, FormatError> {
        let mut listed = Listed::default();
        if sqlite::has_table(database, "account_plugin")? {
            let shift = shift(database)?;
            let users = users(database)?;
            sqlite::for_each(database, "SELECT * FROM account_plugin ORDER BY id", |index, account| {
                let user = account.integer("userId").and_then(|id| users.get(&id)).cloned();
                let detail = Detail { expires_at: expires_at(account), ..Detail::default() };
                add(&mut listed, account, index, shift, Claim { owner: user, detail });
            })?;
        } else if sqlite::has_table(database, "account")? {
            sqlite::for_each(database, "SELECT * FROM account ORDER BY port", |index, account| {
                add(&mut listed, account, index, 0, Claim::default());
            })?;
        } else {
            return Err(FormatError::Shape { expected: EXPECTED, found: "no table `account_plugin` or `account`" });
        }
        Ok(listed)
    }
}

/// The difference between the ports of this node and those in the manager's accounts.
fn shift(database: &Connection) -> Result<i64, FormatError> {
    let mut shifts = BTreeSet::new();
    if sqlite::has_table(database, "server")? {
        sqlite::for_each(database, "SELECT * FROM server", |_, server| {
            shifts.insert(server.integer("shift").unwrap_or_default());
        })?;
    }
    match shifts.len() {
        0 | 1 => Ok(shifts.pop_first().unwrap_or_default()),
        _ => Err(FormatError::Shape {
            expected: "nodes that all have the same shift (otherwise name the node's own database)",
            found: "several shifts",
        }),
    }
}

fn users(database: &Connection) -> Result<BTreeMap<i64, String>, FormatError> {
    let mut users = BTreeMap::new();
    if sqlite::has_table(database, "user")? {
        sqlite::for_each(database, "SELECT * FROM user", |_, user| {
            let name = user.text("username").or_else(|| user.text("email"));
            users.extend(user.integer("id").zip(name));
        })?;
    }
    Ok(users)
}

/// Only accounts of a limited duration expire: `limit` periods after `create`, which is in milliseconds.
fn expires_at(account: &Columns<'_>) -> Option<DateTime<Utc>> {
    let period = match account.integer("type")? {
        2 => TimeDelta::days(7),
        3 => TimeDelta::days(30),
        4 => TimeDelta::days(1),
        5 => TimeDelta::hours(1),
        _ => return None,
    };
    let data: Value = serde_json::from_str(&account.text("data")?).ok()?;
    let begins_at = DateTime::from_timestamp_millis(data.get("create")?.as_i64()?)?;
    let periods = i32::try_from(data.get("limit")?.as_i64()?).ok()?;
    begins_at.checked_add_signed(period.checked_mul(periods)?)
}

fn add(listed: &mut Listed, account: &Columns<'_>, index: usize, shift: i64, claim: Claim) {
    let row = ListPosition::named("account", None, index);
    let Some(port) = account.integer("port") else {
        return listed.complain(Complaint::NoPort { row, key: "port" });
    };
    match spec::port(i128::from(port) + i128::from(shift)) {
        Ok(port) => listed.add(port, claim),
        Err(error) => listed.complain(Complaint::Port { row, error }),
    }
}
