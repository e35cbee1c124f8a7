//! PURE: turns a sealed bucket into rows of ClickHouse, and checks them before anything is sent.
//!
//! ClickHouse does not reject values that do not fit: it stores 70000 as port 4464, and a missing field as zero.

use chrono::{DateTime, FixedOffset, NaiveDate};
use serde::Serialize;

use crate::ledger::block::HourBlock;
use crate::ledger::counters::Counters;
use crate::ledger::date;
use crate::ledger::name;
use crate::ledger::record::{Gap, HourLine, Quality};

/// The rows of ports, each with the figures of one bucket, port and protocol.
pub const PORT_HOUR: &str = "port_hour";
/// The manifests: one row for each bucket, even for an idle one.
pub const BUCKET: &str = "bucket";
/// Times that were not measured.
pub const GAP: &str = "gap";

/// What is sent with every bucket of a node.
#[derive(Clone, Debug)]
pub struct RowSender {
    pub node: String,
    /// The IANA name of the zone in which the node cuts its days.
    pub zone: String,
    pub bucket_seconds: u32,
    /// The version of flow-agent.
    pub version: &'static str,
}

/// A row of [`PORT_HOUR`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortRow<'a> {
    pub node: &'a str,
    pub port: u16,
    pub proto: &'static str,
    /// The start of the bucket, in seconds since 1970.
    pub hour: i64,
    pub epoch: &'a str,
    pub seq: u64,
    pub day: NaiveDate,
    /// Empty if the owner of the port is not known.
    pub user: &'a str,
    pub quality: Quality,
    pub in_bytes: u64,
    pub in_packets: u64,
    pub out_bytes: u64,
    pub out_packets: u64,
    pub rev: u64,
}

/// A row of [`BUCKET`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BucketRow<'a> {
    pub node: &'a str,
    pub epoch: &'a str,
    pub seq: u64,
    pub start: i64,
    pub end: i64,
    /// The UTC offset in force at `start`, in seconds east of UTC.
    pub utc_offset: i32,
    pub day: NaiveDate,
    pub zone: &'a str,
    pub bucket_seconds: u32,
    pub quality: Quality,
    /// How many rows of [`PORT_HOUR`] belong to the bucket.
    pub rows: u64,
    /// How many rows of [`GAP`] belong to the bucket.
    pub gaps: u64,
    /// The sums of these rows.
    pub in_bytes: u64,
    pub out_bytes: u64,
    /// The checksum of the sealed lines.
    pub sha256: &'a str,
    pub rev: u64,
    pub version: &'a str,
}

/// A row of [`GAP`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GapRow<'a> {
    pub node: &'a str,
    pub epoch: &'a str,
    pub seq: u64,
    pub day: NaiveDate,
    pub start: i64,
    pub end: i64,
    pub interface: &'a str,
    pub why: &'a str,
    pub rev: u64,
}

/// A bucket that cannot be sent unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bucket {seq} of epoch {epoch:?} cannot be sent: {why}")]
pub struct InvalidBlock {
    pub epoch: String,
    pub seq: u64,
    pub why: String,
}

/// The years of ClickHouse's type `Date` in which the day of a bucket may lie.
const DAYS: (i32, i32) = (1971, 2105);

/// A bucket whose figures have been checked.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    block: &'a HourBlock,
    sender: &'a RowSender,
    seq: u64,
    rev: u64,
    in_bytes: u64,
    out_bytes: u64,
}

impl<'a> Checked<'a> {
    /// Checks a bucket that is to be sent with the revision `rev`.
    ///
    /// # Errors
    /// When a value does not fit into the table, a port occurs twice, or the sums do not fit into 64 bits.
    pub fn new(block: &'a HourBlock, sender: &'a RowSender, rev: u64) -> Result<Self, InvalidBlock> {
        let seal = &block.seal;
        let seq = number(block);
        let refuse = |why: String| InvalidBlock { epoch: seal.epoch.clone(), seq, why };
        let day = seal.start.date_naive();
        let years = DAYS.0..=DAYS.1;
        if !years.contains(&chrono::Datelike::year(&day)) || !years.contains(&chrono::Datelike::year(&seal.end)) {
            return Err(refuse(format!("ClickHouse has no date {day}")));
        }
        if usize::try_from(seal.ports).ok() != Some(block.lines.len()) {
            return Err(refuse(format!("its seal names {} ports, but it has {}", seal.ports, block.lines.len())));
        }
        if seal.sha256.len() != 64 || !seal.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refuse("its seal has no SHA-256".to_owned()));
        }
        let mut ports: Vec<u16> = block.lines.iter().map(|line| line.port).collect();
        ports.sort_unstable();
        if let Some(twice) = ports.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(refuse(format!("port {} appears twice", twice[0])));
        }
        if ports.first() == Some(&0) {
            return Err(refuse("port 0".to_owned()));
        }
        let mut sums = Counters::default();
        for line in &block.lines {
            if let Some(user) = &line.user {
                name::check(user).map_err(|error| refuse(format!("port {}: {error}", line.port)))?;
            }
            sums = sums
                .checked_add(line.counters())
                .ok_or_else(|| refuse("the sums of its ports are above 2^64".to_owned()))?;
        }
        let sum = |tcp: u64, udp: u64| tcp.checked_add(udp).ok_or_else(|| refuse("its sums are above 2^64".to_owned()));
        let in_bytes = sum(sums.tcp_in_bytes, sums.udp_in_bytes)?;
        let out_bytes = sum(sums.tcp_out_bytes, sums.udp_out_bytes)?;
        debug_assert!(date::is_usable(&seal.start));
        Ok(Self { block, sender, seq, rev, in_bytes, out_bytes })
    }

    /// The rows of its ports. A protocol without traffic has no row, unless its port had no traffic at all: then one
    /// row of zeros shows that the port was watched, and for whom.
    pub fn rows(&self) -> impl Iterator<Item = PortRow<'a>> + use<'a> {
        let this = *self;
        this.block.lines.iter().flat_map(move |line| {
            let tcp = this.row(line, true);
            let udp = this.row(line, false);
            let has_traffic = |row: &PortRow<'_>| row.in_bytes | row.in_packets | row.out_bytes | row.out_packets != 0;
            let (tcp_counts, udp_counts) = (has_traffic(&tcp), has_traffic(&udp));
            [(tcp, tcp_counts || !udp_counts), (udp, udp_counts)]
                .into_iter()
                .filter_map(|(row, sent)| sent.then_some(row))
        })
    }

    /// Its manifest.
    pub fn manifest(&self) -> BucketRow<'a> {
        let seal = &self.block.seal;
        BucketRow {
            node: &self.sender.node,
            epoch: &seal.epoch,
            seq: self.seq,
            start: seal.start.timestamp(),
            end: seal.end.timestamp(),
            utc_offset: seal.start.offset().local_minus_utc(),
            day: self.day(),
            zone: &self.sender.zone,
            bucket_seconds: self.sender.bucket_seconds,
            quality: seal.quality,
            rows: self.rows().count() as u64,
            gaps: seal.gaps.len() as u64,
            in_bytes: self.in_bytes,
            out_bytes: self.out_bytes,
            sha256: &seal.sha256,
            rev: self.rev,
            version: self.sender.version,
        }
    }

    /// The times in it that were not measured.
    pub fn gaps(&self) -> impl Iterator<Item = GapRow<'a>> + use<'a> {
        let this = *self;
        this.block.seal.gaps.iter().map(move |gap| this.gap(gap))
    }

    fn row(&self, line: &'a HourLine, tcp: bool) -> PortRow<'a> {
        let seal = &self.block.seal;
        let (proto, [in_bytes, in_packets, out_bytes, out_packets]) = match tcp {
            true => ("tcp", [line.tcp_in_bytes, line.tcp_in_packets, line.tcp_out_bytes, line.tcp_out_packets]),
            false => ("udp", [line.udp_in_bytes, line.udp_in_packets, line.udp_out_bytes, line.udp_out_packets]),
        };
        PortRow {
            node: &self.sender.node,
            port: line.port,
            proto,
            hour: seal.start.timestamp(),
            epoch: &seal.epoch,
            seq: self.seq,
            day: self.day(),
            user: line.user.as_deref().unwrap_or_default(),
            quality: seal.quality,
            in_bytes,
            in_packets,
            out_bytes,
            out_packets,
            rev: self.rev,
        }
    }

    fn gap(&self, gap: &'a Gap) -> GapRow<'a> {
        GapRow {
            node: &self.sender.node,
            epoch: &self.block.seal.epoch,
            seq: self.seq,
            day: self.day(),
            start: gap.start.timestamp(),
            end: gap.end.timestamp(),
            interface: &gap.interface,
            why: &gap.why,
            rev: self.rev,
        }
    }

    /// The local date in the bucket's own start, which is never converted to another zone.
    fn day(&self) -> NaiveDate {
        self.block.seal.start.date_naive()
    }
}

/// The number of a bucket among those of its epoch. A bucket without one, which this program does not write, is
/// numbered by its start.
pub fn number(block: &HourBlock) -> u64 {
    block.seal.seq.unwrap_or_else(|| start_number(block.seal.start))
}

fn start_number(start: DateTime<FixedOffset>) -> u64 {
    u64::try_from(start.timestamp()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
