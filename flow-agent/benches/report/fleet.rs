//! The nodes' daily files of a month, which are the same in every run, and the main node that reports on them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use chrono::NaiveDate;
use flow_agent::ledger::block::DayBlock;
use flow_agent::ledger::counters::Counters;
use flow_agent::ledger::record::{DayLine, DaySeal, Kind, Quality, VERSION};

pub const NODES: u16 = 100;
/// The number of ports on every node. Each port belongs to one user, the same on all nodes.
pub const PORTS: u16 = 1_000;
pub const LINES: u32 = NODES as u32 * PORTS as u32 * DAYS;

const DAYS: u32 = 31;
const YEAR: i32 = 2025;
const MONTH: u32 = 10;
const FIRST_PORT: u16 = 20_001;

pub struct Fleet {
    /// The directory of the nodes' files.
    nodes: PathBuf,
    /// The directory of the main node.
    main: PathBuf,
}

impl Fleet {
    /// Makes the fleet in `directory`, where files of an earlier run are reused.
    pub fn make(directory: &Path) -> Result<Self> {
        let nodes = directory.join(format!("fleet-1-{NODES}-{PORTS}-{DAYS}"));
        let fleet = Self { main: nodes.join("main"), nodes };
        let done = fleet.nodes.join("done");
        if !done.exists() {
            eprintln!("generating {LINES} day lines below {}", fleet.nodes.display());
            (0..NODES).try_for_each(|node| fleet.write_node(node))?;
            File::create(done)?;
        }
        fs::create_dir_all(&fleet.main)?;
        fs::write(fleet.main.join("users.csv"), users()?)?;
        fs::write(fleet.main.join("config.toml"), fleet.config()?)?;
        Ok(fleet)
    }

    /// The command `flow-agent report` for the month.
    pub fn report(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flow-agent"));
        command.args(["report", "--no-mail", "--month", &month(), "--config"]).arg(self.main.join("config.toml"));
        command
    }

    /// Deletes everything that was gathered and reported.
    pub fn forget_reports(&self) -> Result<()> {
        match fs::remove_dir_all(self.main.join("state")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Reports on the month, unless that was done before.
    pub fn report_once(&self) -> Result<()> {
        if !self.monthly().exists() {
            let status = self.report().status()?;
            anyhow::ensure!(status.success(), "the report failed: {status}");
        }
        Ok(())
    }

    pub fn monthly(&self) -> PathBuf {
        self.main.join("state/monthly").join(format!("{YEAR}.jsonl"))
    }

    /// A glob that matches all nodes' files.
    pub fn files(&self) -> PathBuf {
        self.nodes.join("node-*/daily").join(format!("{}.jsonl", month()))
    }

    pub fn mebibytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for node in 0..NODES {
            bytes += fs::metadata(self.file(node))?.len();
        }
        Ok(bytes >> 20)
    }

    fn file(&self, node: u16) -> PathBuf {
        self.nodes.join(name(node)).join("daily").join(format!("{}.jsonl", month()))
    }

    fn write_node(&self, node: u16) -> Result<()> {
        let path = self.file(node);
        fs::create_dir_all(path.parent().context("a file has a directory")?)?;
        let mut file = BufWriter::new(File::create(path)?);
        for day in 1..=DAYS {
            file.write_all(block(node, day)?.encode().as_bytes())?;
        }
        Ok(file.flush()?)
    }

    fn config(&self) -> Result<String> {
        let mut config = format!(
            "node = \"main\"\ntimezone = \"UTC\"\nstate_dir = {:?}\nusers_file = {:?}\n",
            self.main.join("state"),
            self.main.join("users.csv")
        );
        for node in 0..NODES {
            let name = name(node);
            write!(config, "\n[[nodes]]\nname = {name:?}\nlocal = true\nstate_dir = {:?}\n", self.nodes.join(&name))?;
        }
        Ok(config)
    }
}

fn users() -> Result<String> {
    let mut users = "name,ports,email,language,quota\n".to_owned();
    for port in ports() {
        writeln!(users, "acct-{port},{port},,,")?;
    }
    Ok(users)
}

fn block(node: u16, day: u32) -> Result<DayBlock> {
    let date = NaiveDate::from_ymd_opt(YEAR, MONTH, day).context("no such day")?;
    let line = |port: u16| DayLine::new(date, port, Some(format!("acct-{port}")), counters(node, day, port));
    let seal = DaySeal {
        v: VERSION,
        kind: Kind::Seal,
        day: date,
        node: name(node),
        zone: "UTC".into(),
        ports: 0,
        seconds_in_day: 86_400,
        seconds_covered: 86_400,
        buckets_expected: 24,
        buckets_sealed: 24,
        quality: [(Quality::Exact, 24)].into(),
        gaps: Vec::new(),
        late: None,
        at: None,
        sha256: String::new(),
    };
    Ok(DayBlock { lines: ports().map(line).collect(), seal })
}

/// Counters with as many digits as on a busy day: tens of gigabytes of TCP, less of UDP.
fn counters(node: u16, day: u32, port: u16) -> Counters {
    let mut state = u64::from(node) << 32 | u64::from(day) << 16 | u64::from(port);
    let mut below = |most: u64| {
        // splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % most
    };
    let (bytes, packets) = (100_000_000_000, 100_000_000);
    let most = [bytes / 10, packets / 10, bytes, packets, bytes / 100, packets / 100, bytes / 50, packets / 50];
    Counters::from_array(most.map(&mut below))
}

fn ports() -> impl Iterator<Item = u16> {
    FIRST_PORT..FIRST_PORT + PORTS
}

fn name(node: u16) -> String {
    format!("node-{node:03}")
}

fn month() -> String {
    format!("{YEAR}-{MONTH:02}")
}
