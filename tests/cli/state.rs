//! A state directory as an agent leaves it: two hours of 5 October 2024 and a third that is open, a day and a month
//! before.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset};
use flow_agent::ledger::block::{Block, BlockKind, DayBlock, HourBlock, MonthBlock};
use flow_agent::ledger::counters::{Counters, Device, Flow, Others};
use flow_agent::ledger::record::{
    Checkpoint, DayLine, Gap, HourLine, HourSeal, Kind, MonthLine, MonthSeal, Quality, VERSION,
};
use flow_agent::ledger::seal::with_check;
use flow_agent::store::ports::PortList;
use serde::Serialize;

use crate::blocks::{day_seal, hour_seal};

/// The counters of 8388 at 14:00.
const SEALED: [u64; 8] = [1_001, 11, 5_002, 21, 300, 3, 400, 4];

/// The directory, with a configuration that names it.
pub struct State(tempfile::TempDir);

impl State {
    /// With all the data.
    pub fn full() -> Self {
        let state = Self::empty();
        state.append("hourly/2024-10-05.jsonl", noon());
        state.append("hourly/2024-10-05.jsonl", one_o_clock());
        state.append("daily/2024-10.jsonl", fourth_of_october());
        state.append("monthly/2024.jsonl", september());
        state.document("checkpoint.json", &checkpoint());
        state.document("ports.json", &ports());
        state
    }

    /// Without data.
    pub fn empty() -> Self {
        let directory = tempfile::Builder::new().prefix("flow-agent-cli").tempdir().unwrap();
        let config = "node = \"hk-1\"\ntimezone = \"Asia/Shanghai\"\nstate_dir = \"state\"\n";
        fs::write(directory.path().join("config.toml"), config).unwrap();
        for name in ["hourly", "daily", "monthly"] {
            fs::create_dir_all(directory.path().join("state").join(name)).unwrap();
        }
        Self(directory)
    }

    pub fn config(&self) -> PathBuf {
        self.0.path().join("config.toml")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("state").join(name)
    }

    pub fn append<K: BlockKind>(&self, name: &str, mut block: Block<K>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(block.encode().as_bytes()).unwrap();
    }

    fn document<T: Serialize>(&self, name: &str, document: &T) {
        fs::write(self.path(name), with_check(&serde_json::to_string(document).unwrap()) + "\n").unwrap();
    }

    /// The output of `show` without the path of the test's directory.
    pub fn without_path(&self, text: &str) -> String {
        text.replace(&format!("{}/", Path::new(self.0.path()).display()), "")
    }
}

fn at(time: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(&format!("2024-10-05T{time}+08:00")).unwrap()
}

fn eth0(rx_bytes: u64, rx_packets: u64, tx_bytes: u64, tx_packets: u64) -> Device {
    Device { name: "eth0".to_owned(), rx_bytes, rx_packets, tx_bytes, tx_packets, link_header_bytes: None }
}

/// One line of an hour: port, user, usage and cumulative counters.
type Moved = (u16, Option<&'static str>, [u64; 8], [u64; 8]);

fn hour(seq: u64, start: &str, end: &str, lines: &[Moved], device: Device) -> HourBlock {
    let (start, end) = (at(start), at(end));
    let line = |(port, user, moved, total): &Moved| {
        let user = user.map(str::to_owned);
        HourLine::new(start, end, *port, user, Counters::from_array(*moved), Some(*total), false)
    };
    let seal = HourSeal { other_total: Some(Others::default()), ..hour_seal(seq, [start, end], vec![device]) };
    HourBlock { lines: lines.iter().map(line).collect(), seal }
}

/// 12:00 to 13:00: 300 bytes on 443, 6,700 on 8388, and 60 of other traffic. The device saw exactly that.
fn noon() -> HourBlock {
    let of_443 = [100, 1, 200, 2, 0, 0, 0, 0];
    let of_8388 = [1_000, 10, 5_000, 20, 300, 3, 400, 4];
    // In: 100 + 1,300 + 60 bytes, and 20 headers. Out: 200 + 5,400 bytes, and 30 headers.
    let device = eth0(1_460 + 20 * 14, 20, 5_600 + 30 * 14, 30);
    let lines = [(443, None, of_443, of_443), (8388, Some("acct-8388"), of_8388, of_8388)];
    let mut block = hour(1, "12:00:00", "13:00:00", &lines, device);
    block.seal.other.other_ip = Flow { in_bytes: 60, in_packets: 1, ..Flow::default() };
    block.seal.other_total = Some(block.seal.other);
    block
}

/// 13:00 to 14:00: 3 bytes on 8388, and ten minutes that were not measured. The device received 5 bytes more.
fn one_o_clock() -> HourBlock {
    let of_443 = [100, 1, 200, 2, 0, 0, 0, 0];
    let lines = [(443, None, [0; 8], of_443), (8388, Some("acct-8388"), [1, 1, 2, 1, 0, 0, 0, 0], SEALED)];
    let mut block = hour(2, "13:00:00", "14:00:00", &lines, eth0(6 + 14, 1, 2 + 14, 1));
    block.seal.quality = Quality::Gap;
    block.seal.gaps = vec![Gap {
        start: at("13:20:00"),
        end: at("13:30:00"),
        interface: "eth0".to_owned(),
        why: "interface was deleted".to_owned(),
    }];
    block.seal.other_total = noon().seal.other_total;
    block
}

/// 10 bytes on 8388 since 14:00.
fn checkpoint() -> Checkpoint {
    let mut total = SEALED;
    total[0] += 10;
    total[1] += 1;
    Checkpoint {
        v: VERSION,
        seq: 2,
        boot_ms: None,
        start: Some(at("14:00:00")),
        start_boot_ms: None,
        at: at("14:23:30"),
        epoch: "boot-1".to_owned(),
        totals: [(8388, total)].into(),
        other_total: noon().seal.other,
        gaps: Vec::new(),
    }
}

fn ports() -> PortList {
    let ports = [(443, None), (8388, Some("acct-8388".to_owned()))].into();
    PortList { v: VERSION, at: at("12:00:00"), ports, files: [].into(), stated: [].into() }
}

/// 7 bytes on 443, which had an owner at that time.
fn fourth_of_october() -> DayBlock {
    let day = "2024-10-04".parse().unwrap();
    let moved = Counters::from_array([7, 1, 0, 0, 0, 0, 0, 0]);
    DayBlock { lines: vec![DayLine::new(day, 443, Some("before".to_owned()), moved)], seal: day_seal(day) }
}

/// The statement of September: 2^40 bytes sent by one user on two nodes.
fn september() -> MonthBlock {
    let month = "2024-09".parse().unwrap();
    let moved = Counters::from_array([0, 0, 1 << 40, 1 << 30, 0, 0, 0, 0]);
    let line = MonthLine::new(month, Some("one".to_owned()), vec![443, 8388], moved, [].into(), Some(0.9998));
    let seal = MonthSeal { v: VERSION, kind: Kind::Seal, month, lines: 0, sha256: String::new() };
    MonthBlock { lines: vec![line], seal }
}
