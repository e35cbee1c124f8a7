//! How far each node has got, and what is wrong with what it sent.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::client::Client;
use super::error::FleetError;
use super::manifest::{EpochSpan, two_machines};
use super::rows::BUCKET;
use super::schema::SCHEMA_VERSION;
use super::sql::tab_separated;

/// The state of a node according to ClickHouse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    pub node: String,
    pub buckets: u64,
    /// The end of its newest bucket.
    pub newest: DateTime<Utc>,
    /// The version of flow-agent that sent the newest bucket.
    pub version: String,
    /// How many numbers between the lowest and the highest have never arrived.
    pub missing: u64,
    /// The number of buckets with different figures under the same revision.
    pub conflicting: u64,
    /// Whether two machines send under this name at the same time.
    pub is_shared: bool,
}

impl NodeStatus {
    /// Whether something is wrong that does not resolve itself over time.
    pub fn has_alarm(&self) -> bool {
        self.missing > 0 || self.conflicting > 0 || self.is_shared
    }
}

/// The newest version of the schema in the database.
///
/// # Errors
/// When ClickHouse cannot be asked, or the tables do not exist.
pub fn schema_version(client: &Client) -> Result<u32, FleetError> {
    let action = "query the schema version";
    let answer = client.query(action, &format!("SELECT max(version) FROM {}.schema_version", client.database()))?;
    answer.trim().parse().map_err(|_| not_ours(client, action, &answer))
}

/// Whether this program can write and read that version of the schema.
pub fn is_known(version: u32) -> bool {
    version == SCHEMA_VERSION
}

/// All nodes, by name.
///
/// # Errors
/// When ClickHouse cannot be asked.
pub fn nodes(client: &Client) -> Result<Vec<NodeStatus>, FleetError> {
    let action = "query the nodes";
    let table = format!("{}.{BUCKET}", client.database());
    let ask = |sql: String| -> Result<Vec<Vec<String>>, FleetError> {
        Ok(tab_separated(&client.query(action, &format!("{sql} FORMAT TabSeparated"))?).collect())
    };
    let unreadable = |row: &Vec<String>| not_ours(client, action, &row.join(" "));

    let mut nodes = BTreeMap::new();
    let sql = format!(
        "SELECT node, uniqExact(epoch, seq), toUnixTimestamp(max(`end`)), argMax(version, `end`) FROM {table} \
         GROUP BY node"
    );
    for row in ask(sql)? {
        let status = || {
            let [node, buckets, newest, version] = &row[..] else { return None };
            Some(NodeStatus {
                node: node.clone(),
                buckets: buckets.parse().ok()?,
                newest: DateTime::from_timestamp(newest.parse().ok()?, 0)?,
                version: version.clone(),
                missing: 0,
                conflicting: 0,
                is_shared: false,
            })
        };
        let status = status().ok_or_else(|| unreadable(&row))?;
        nodes.insert(status.node.clone(), status);
    }
    // Imported buckets have numbers of another kind.
    let sql = format!(
        "SELECT node, max(seq) - min(seq) + 1 - uniqExact(seq) FROM {table} WHERE quality != 'import' GROUP BY node"
    );
    for row in ask(sql)? {
        let [node, missing] = &row[..] else { return Err(unreadable(&row)) };
        if let Some(status) = nodes.get_mut(node) {
            status.missing = missing.parse().map_err(|_| unreadable(&row))?;
        }
    }
    // Only the highest revision of a bucket counts.
    let sql = format!(
        "SELECT node, countIf(contents > 1) FROM (SELECT node, epoch, seq, argMax(found, rev) AS contents FROM \
         (SELECT node, epoch, seq, rev, uniqExact(sha256) AS found FROM {table} GROUP BY node, epoch, seq, rev) \
         GROUP BY node, epoch, seq) GROUP BY node"
    );
    for row in ask(sql)? {
        let [node, conflicting] = &row[..] else { return Err(unreadable(&row)) };
        if let Some(status) = nodes.get_mut(node) {
            status.conflicting = conflicting.parse().map_err(|_| unreadable(&row))?;
        }
    }
    let sql = format!(
        "SELECT node, epoch, toUnixTimestamp(min(start)), toUnixTimestamp(max(`end`)), min(seq), max(seq), \
         max(bucket_seconds) FROM {table} WHERE quality != 'import' GROUP BY node, epoch"
    );
    let mut epochs: BTreeMap<String, Vec<EpochSpan>> = BTreeMap::new();
    for row in ask(sql)? {
        let span = || {
            let [_, epoch, start, end, first_seq, last_seq, bucket_seconds] = &row[..] else { return None };
            Some(EpochSpan {
                epoch: epoch.clone(),
                start: start.parse().ok()?,
                end: end.parse().ok()?,
                first_seq: first_seq.parse().ok()?,
                last_seq: last_seq.parse().ok()?,
                bucket_seconds: bucket_seconds.parse().ok()?,
            })
        };
        let span = span().ok_or_else(|| unreadable(&row))?;
        epochs.entry(row[0].clone()).or_default().push(span);
    }
    for (node, epochs) in epochs {
        if let Some(status) = nodes.get_mut(&node) {
            status.is_shared = two_machines(&epochs).is_some();
        }
    }
    Ok(nodes.into_values().collect())
}

fn not_ours(client: &Client, action: &str, found: &str) -> FleetError {
    FleetError::Answer {
        action: action.to_owned(),
        url: client.url().to_owned(),
        found: found.chars().take(200).collect(),
    }
}
