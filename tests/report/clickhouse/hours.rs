//! Hourly logs that are written by hand, without any code of the program under test.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What one port moved in a bucket: bytes of TCP in, TCP out, UDP in and UDP out. There are as many packets as bytes.
#[derive(Clone, Debug)]
pub struct Line {
    pub port: u16,
    pub user: Option<&'static str>,
    pub bytes: [u64; 4],
}

#[derive(Clone, Debug)]
pub struct Hour {
    pub start: DateTime<FixedOffset>,
    pub end: DateTime<FixedOffset>,
    pub seq: u64,
    pub epoch: &'static str,
    pub quality: &'static str,
    /// The beginning and end of each gap.
    pub gaps: Vec<(DateTime<FixedOffset>, DateTime<FixedOffset>)>,
    pub lines: Vec<Line>,
}

pub fn line(port: u16, user: Option<&'static str>, bytes: [u64; 4]) -> Line {
    Line { port, user, bytes }
}

impl Hour {
    /// An exact hour without gaps.
    pub fn exact(start: DateTime<FixedOffset>, seq: u64, epoch: &'static str, lines: Vec<Line>) -> Self {
        let end = start + chrono::TimeDelta::hours(1);
        Self { start, end, seq, epoch, quality: "exact", gaps: Vec::new(), lines }
    }

    /// The text of the block.
    pub fn text(&self, node: &str) -> String {
        let (start, end) = (stamp(self.start), stamp(self.end));
        let mut text = String::new();
        for Line { port, user, bytes: [a, b, c, d] } in &self.lines {
            let user = user.map(|user| format!(",\"user\":{}", Value::from(user))).unwrap_or_default();
            writeln!(
                text,
                "{{\"v\":1,\"kind\":\"hour\",\"start\":\"{start}\",\"end\":\"{end}\",\"port\":{port}{user},\
                 \"tcp_in_bytes\":{a},\"tcp_in_packets\":{a},\"tcp_out_bytes\":{b},\"tcp_out_packets\":{b},\
                 \"udp_in_bytes\":{c},\"udp_in_packets\":{c},\"udp_out_bytes\":{d},\"udp_out_packets\":{d}}}"
            )
            .unwrap();
        }
        let sha256 = Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        let gap = |(from, to): &(DateTime<FixedOffset>, DateTime<FixedOffset>)| json!({"start": stamp(*from), "end": stamp(*to), "interface": "eth0", "why": "it was down"});
        let gaps: Vec<Value> = self.gaps.iter().map(gap).collect();
        let seal = json!({"v": 1, "kind": "seal", "seq": self.seq, "start": start, "end": end, "node": node,
            "epoch": self.epoch, "quality": self.quality, "gaps": gaps, "ports": self.lines.len(), "sha256": sha256});
        writeln!(text, "{seal}").unwrap();
        text
    }
}

fn stamp(at: DateTime<FixedOffset>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// Writes the hours into the files of their dates, in their order, and replaces these files.
pub fn put(state_dir: &Path, node: &str, hours: &[Hour]) {
    let hourly = state_dir.join("hourly");
    fs::create_dir_all(&hourly).unwrap();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for hour in hours {
        *files.entry(format!("{}.jsonl", hour.start.format("%Y-%m-%d"))).or_default() += &hour.text(node);
    }
    for (name, text) in files {
        fs::write(hourly.join(name), text).unwrap();
    }
}
