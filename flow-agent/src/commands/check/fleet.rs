//! Section fleet: whether ClickHouse can be reached and admits this machine, its tables are known, and the hours are
//! acknowledged.

use chrono::{DateTime, Utc};

use super::finding::{Finding, Section};
use crate::commands::ship::LAG;
use crate::config::Config;
use crate::errors::chain;
use crate::fleet::rows::{BUCKET, GAP, PORT_HOUR};
use crate::fleet::schema::SCHEMA_VERSION;
use crate::fleet::{Client, FleetError, Insert, RequestTiming, status};
use crate::store::{StateDir, hours, ship};

/// Asks the server for its version and that of the tables, and tries to insert no rows into each table.
pub(super) fn findings(config: &Config, now: DateTime<Utc>) -> Vec<Finding> {
    let Some(fleet) = &config.fleet else { return Vec::new() };
    let failed = |error: &FleetError| Finding::fail(Section::Fleet, chain(error)).help(error.help());
    let asked = Client::new(fleet, RequestTiming::default()).and_then(|client| Ok((client.version()?, client)));
    let (version, mut client) = match asked {
        Ok(asked) => asked,
        Err(error) => return vec![failed(&error)],
    };
    let tls = if fleet.url.tls { "encrypted" } else { "unencrypted, on this machine" };
    let mut findings =
        vec![Finding::ok(Section::Fleet, format!("{}: logged in to ClickHouse {version}, {tls}", fleet.url))];
    match status::schema_version(&client) {
        Ok(version) if status::is_known(version) => {}
        Ok(version) => {
            let what = format!("the tables have schema version {version}, but this program expects {SCHEMA_VERSION}");
            let help = "run `flow-agent fleet init` of the newer version".to_owned();
            findings.push(Finding::fail(Section::Fleet, what).help(Some(help)));
        }
        Err(error) => return findings.into_iter().chain([failed(&error)]).collect(),
    }
    if sends(config) {
        // The server checks the grant and the table even for an insert without rows.
        let refused = [PORT_HOUR, GAP, BUCKET].into_iter().find_map(|table| client.insert(Insert::new(table)).err());
        findings.push(match refused {
            None => Finding::ok(Section::Fleet, format!("hours can be sent as node {}", fleet.node)),
            Some(error) => failed(&error),
        });
        findings.extend(lag(config, now));
    }
    findings
}

/// Whether this machine has hours to send.
fn sends(config: &Config) -> bool {
    !config.only_gathers() && hours::dates(&StateDir::new(&config.state_dir)).is_ok_and(|dates| !dates.is_empty())
}

fn lag(config: &Config, now: DateTime<Utc>) -> Option<Finding> {
    let shipped = match ship::read(&StateDir::new(&config.state_dir)) {
        Ok(shipped) => shipped,
        Err(error) => return Some(Finding::fail(Section::Fleet, chain(&error)).help(error.help())),
    };
    let start = || Some("enable flow-agent-ship.service, or run `flow-agent ship --once` from cron".to_owned());
    let Some(newest) = shipped.newest else {
        return Some(Finding::warn(Section::Fleet, "no hour has been sent from this node yet").help(start()));
    };
    let behind = now - newest.to_utc();
    Some(match behind > LAG {
        false => Finding::ok(Section::Fleet, format!("acknowledged up to {newest}")),
        true => {
            let what = format!("acknowledged up to {newest} only, {} hours ago", behind.num_hours());
            Finding::warn(Section::Fleet, what).help(start())
        }
    })
}
