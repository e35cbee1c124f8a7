//! Buckets for an hourly log with only the fields that a reader needs.

use std::path::Path;

use flow_agent::ledger::block::HourBlock;
use flow_agent::store::hours::{HourItem, Hours};
use flow_agent::store::journal::Journal;
use flow_agent::store::{StateDir, StoreError};

/// An hour from `start` (`2026-10-05T13`) in which port 443 and many others each received `total - before` bytes over
/// TCP.
pub fn bucket(start: &str, ports: u16, before: u64, total: u64) -> HourBlock {
    let used = total - before;
    let times = format!(r#""start":"{start}:00:00+08:00","end":"{start}:59:59+08:00""#);
    let line = |port: u16| {
        let text = format!(
            r#"{{"v":1,"kind":"hour",{times},"port":{port},"tcp_in_bytes":{used},"tcp_in_packets":1,"tcp_out_bytes":0,"tcp_out_packets":0,"udp_in_bytes":0,"udp_in_packets":0,"udp_out_bytes":0,"udp_out_packets":0,"total":[{total},1,0,0,0,0,0,0]}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    let seal = format!(
        r#"{{"v":1,"kind":"seal",{times},"node":"hk-1","epoch":"boot-1","quality":"exact","ports":{ports},"sha256":""}}"#
    );
    HourBlock { lines: (443..443 + ports).map(line).collect(), seal: serde_json::from_str(&seal).unwrap() }
}

/// The bytes of port 443 in each bucket that a reader accepts, in order, and descriptions of what it does not accept.
pub fn read(state: &StateDir) -> (Vec<u64>, Vec<String>) {
    let (mut bytes, mut damages) = (Vec::new(), Vec::new());
    let always = "0000-01-01".parse().unwrap()..="9999-12-31".parse().unwrap();
    for hour in Hours::read(state, always).unwrap() {
        match hour.unwrap() {
            HourItem::Bucket(bucket) => bytes.push(bucket.lines[0].tcp_in_bytes),
            HourItem::Damage(damage) | HourItem::Unfinished(damage) => damages.push(damage.to_string()),
        }
    }
    (bytes, damages)
}

/// Continues from the last seal like an agent that was killed, and whose counters in the kernel are at `total`.
pub fn go_on(root: &Path, start: &str, ports: u16, total: u64) -> Result<(), StoreError> {
    let state = StateDir::new(root);
    let (mut journal, recovery) = Journal::open(&state.lock_run()?)?;
    let before = recovery.last().and_then(|bucket| bucket.lines[0].total).map_or(0, |total| total[0]);
    journal.append(&mut bucket(start, ports, before, total))
}
