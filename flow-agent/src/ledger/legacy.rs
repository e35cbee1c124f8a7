//! The logs of the older scripts: their lines, and the buckets that can be made from them.
//!
//! A line `2017/09/01_13:00:07 port:8388 12345` in a day log is about the previous hour, and `170901  port:8388 12345`
//! in a month log about that day. The scripts counted outgoing TCP over IPv4 in bytes as iptables reports them. A line
//! is filed by its own date, not by the name of its file.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;

use super::block::HourBlock;
use super::calendar;
use super::counters::{Counters, Others};
use super::date;
use super::record::{BackendKind, CountMode, HourLine, HourSeal, Kind, Quality, VERSION};

/// A reading further than this from the full hour does not show which hour it belongs to.
const MOST_OFF: TimeDelta = TimeDelta::minutes(10);

/// The epoch of imported buckets, which have no counters behind them.
const EPOCH: &str = "import";

/// Why a line or its content is doubtful.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LegacyDoubt {
    #[error("not a line of these logs")]
    Unknown,
    #[error("no figure: missing data, not zero")]
    NoFigure,
    #[error("{count} figures: it is unclear which belongs to this port")]
    Ambiguous { count: usize },
    #[error("{text:?} is not a number of bytes")]
    NotBytes { text: String },
    #[error("{text:?} is not a port")]
    NotPort { text: String },
    #[error("there is no such time in {zone}")]
    NoSuchTime { zone: Tz },
    #[error("read {minutes} minutes off the full hour; assigned to the previous hour")]
    OffTheHour { minutes: i64 },
    #[error("another figure for port {port} at the same time: neither is used")]
    Contradiction { port: u16 },
    #[error("this day is known hour by hour: its sum is not used")]
    KnownByTheHour,
    #[error("more than 2^64 - 1 bytes with the other figures for port {port} at this time: none is used")]
    TooMany { port: u16 },
    #[error("the scripts could not tell port {port} from {}", listed(.others))]
    Prefix { port: u16, others: Vec<u16> },
}

impl LegacyDoubt {
    /// Whether the line is counted despite the doubt.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::OffTheHour { .. } | Self::Prefix { .. })
    }
}

/// `4433, 44330`
fn listed(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

/// The time that one or more figures are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

/// The bytes on a line, with the time that the line states and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Figure<P> {
    at: NaiveDateTime,
    bytes: u64,
    place: P,
}

/// Collects lines one by one; `P` is the place of a line.
#[derive(Debug)]
pub struct Import<P> {
    zone: Tz,
    hours: BTreeMap<Slot, BTreeMap<u16, Vec<Figure<P>>>>,
    days: BTreeMap<NaiveDate, BTreeMap<u16, Vec<Figure<P>>>>,
    ports: BTreeSet<u16>,
    /// A port whose number is a prefix of another's, and that other port.
    prefixes: Vec<(u16, u16)>,
    doubts: Vec<(P, LegacyDoubt)>,
}

/// The result of all lines.
#[derive(Debug)]
pub struct Imported<P> {
    /// By ascending start, without overlaps, of quality `import`.
    pub buckets: Vec<HourBlock>,
    pub doubts: Vec<(P, LegacyDoubt)>,
    /// A port whose number is a prefix of another's: the scripts also counted the second port's traffic for the first.
    pub prefixes: Vec<(u16, u16)>,
}

impl<P: Clone> Import<P> {
    /// An import without lines so far; local times are in `zone`.
    pub fn new(zone: Tz) -> Self {
        Self {
            zone,
            hours: BTreeMap::new(),
            days: BTreeMap::new(),
            ports: BTreeSet::new(),
            prefixes: Vec::new(),
            doubts: Vec::new(),
        }
    }

    /// Adds the line at `place`.
    pub fn take(&mut self, line: &str, place: P) {
        if !line.trim().is_empty()
            && let Err(doubt) = self.try_take(line, &place)
        {
            self.doubts.push((place, doubt));
        }
    }

    /// Notes a line that is too long to be from these logs.
    pub fn refuse(&mut self, place: P) {
        self.doubts.push((place, LegacyDoubt::Unknown));
    }

    fn try_take(&mut self, line: &str, place: &P) -> Result<(), LegacyDoubt> {
        let mut words = line.split_whitespace();
        let (Some(time), Some(port)) = (words.next(), words.next()) else { return Err(LegacyDoubt::Unknown) };
        let port = port.strip_prefix("port:").ok_or(LegacyDoubt::Unknown)?;
        let not_port = || LegacyDoubt::NotPort { text: port.to_owned() };
        let port: u16 =
            digits(port).and_then(|port| port.parse().ok()).filter(|port| *port > 0).ok_or_else(not_port)?;
        let at = NaiveDateTime::parse_from_str(time, "%Y/%m/%d_%H:%M:%S").ok();
        // File names have four-digit years, in these logs too.
        let at = at.filter(|at| (1970..=*date::YEARS.end()).contains(&at.year()));
        let day = digits(time).filter(|time| time.len() == 6);
        let day = day.and_then(|time| NaiveDate::parse_from_str(&format!("20{time}"), "%Y%m%d").ok());
        if at.is_none() && day.is_none() {
            return Err(LegacyDoubt::Unknown);
        }
        self.ports.insert(port);
        let figures: Vec<&str> = words.collect();
        let text = match figures[..] {
            [] => return Err(LegacyDoubt::NoFigure),
            [text] => text,
            _ => return Err(LegacyDoubt::Ambiguous { count: figures.len() }),
        };
        let not_bytes = || LegacyDoubt::NotBytes { text: text.to_owned() };
        let bytes: u64 = digits(text).and_then(|text| text.parse().ok()).ok_or_else(not_bytes)?;
        if let Some(day) = day {
            let at = day.and_time(chrono::NaiveTime::MIN);
            let figures = self.days.entry(day).or_default().entry(port).or_default();
            figures.push(Figure { at, bytes, place: place.clone() });
        }
        if let Some(at) = at {
            let slot = self.slot(at, place)?;
            let figures = self.hours.entry(slot).or_default().entry(port).or_default();
            figures.push(Figure { at, bytes, place: place.clone() });
        }
        Ok(())
    }

    /// The hour that ended at `at` or shortly before: a 00:00 line belongs to the previous day.
    fn slot(&mut self, at: NaiveDateTime, place: &P) -> Result<Slot, LegacyDoubt> {
        let past = TimeDelta::seconds(i64::from(at.num_seconds_from_midnight() % 3_600));
        let to_come = TimeDelta::hours(1) - past;
        let end = if to_come <= MOST_OFF { at + to_come } else { at - past };
        if past > MOST_OFF && to_come > MOST_OFF {
            self.doubts.push((place.clone(), LegacyDoubt::OffTheHour { minutes: past.num_minutes() }));
        }
        // When a local time occurs twice, nothing says which one is meant: take the first.
        let end =
            self.zone.from_local_datetime(&end).earliest().ok_or(LegacyDoubt::NoSuchTime { zone: self.zone })?.to_utc();
        Ok(Slot { start: end - TimeDelta::hours(1), end })
    }

    /// Makes buckets of `node` from the figures.
    pub fn finish(mut self, node: &str) -> Imported<P> {
        let known: BTreeSet<NaiveDate> =
            self.hours.keys().map(|slot| calendar::local(self.zone, slot.start).date_naive()).collect();
        let mut slots: BTreeMap<Slot, BTreeMap<u16, Vec<Figure<P>>>> = std::mem::take(&mut self.hours);
        for (day, ports) in std::mem::take(&mut self.days) {
            if known.contains(&day) {
                let figures = ports.into_values().flatten();
                self.doubts.extend(figures.map(|figure| (figure.place, LegacyDoubt::KnownByTheHour)));
            } else {
                let start = calendar::day_start(self.zone, day);
                let end = calendar::day_start(self.zone, day + Days::new(1));
                slots.insert(Slot { start, end }, ports);
            }
        }
        let is_prefix = |short: &u16, long: &u16| short != long && long.to_string().starts_with(&short.to_string());
        let prefixes = self.ports.iter().flat_map(|short| {
            self.ports.iter().filter(move |long| is_prefix(short, long)).map(move |long| (*short, *long))
        });
        self.prefixes = prefixes.collect();
        let mut buckets = Vec::new();
        for (slot, ports) in slots {
            let figures: Vec<(u16, u64)> =
                ports.into_iter().filter_map(|(port, figures)| Some((port, self.sum(port, figures)?))).collect();
            if !figures.is_empty() {
                buckets.push(bucket(self.zone, node, slot, &figures));
            }
        }
        Imported { buckets, prefixes: self.prefixes, doubts: self.doubts }
    }

    /// The sum for one port and time. Readings of different moments add up, because the script zeroed the counter after
    /// each. The same line again is a copy, and two different figures of the same moment contradict each other.
    fn sum(&mut self, port: u16, figures: Vec<Figure<P>>) -> Option<u64> {
        let mut by_moment: BTreeMap<NaiveDateTime, Vec<Figure<P>>> = BTreeMap::new();
        for figure in figures {
            by_moment.entry(figure.at).or_default().push(figure);
        }
        let mut taken = Vec::new();
        for figures in by_moment.into_values() {
            if figures.windows(2).all(|pair| pair[0].bytes == pair[1].bytes) {
                taken.extend(figures.into_iter().next());
            } else {
                let doubts = figures.into_iter().map(|figure| (figure.place, LegacyDoubt::Contradiction { port }));
                self.doubts.extend(doubts);
            }
        }
        let first = taken.first()?.bytes;
        let sum = taken[1..].iter().try_fold(first, |sum, figure| sum.checked_add(figure.bytes));
        let pairs = self.prefixes.iter().filter(|(short, long)| port == *short || port == *long);
        let others: Vec<u16> = pairs.map(|(short, long)| if port == *short { *long } else { *short }).collect();
        let doubt = match sum {
            None => Some(LegacyDoubt::TooMany { port }),
            Some(_) if others.is_empty() => None,
            Some(_) => Some(LegacyDoubt::Prefix { port, others }),
        };
        if let Some(doubt) = doubt {
            self.doubts.extend(taken.into_iter().map(|figure| (figure.place, doubt.clone())));
        }
        sum
    }
}

fn bucket(zone: Tz, node: &str, slot: Slot, figures: &[(u16, u64)]) -> HourBlock {
    let (start, end) = (calendar::local(zone, slot.start), calendar::local(zone, slot.end));
    let line = |(port, bytes): &(u16, u64)| {
        let counters = Counters { tcp_out_bytes: *bytes, ..Counters::default() };
        HourLine::new(start, end, *port, None, counters, None, false)
    };
    let seal = HourSeal {
        v: VERSION,
        kind: Kind::Seal,
        seq: None,
        start,
        end,
        node: node.to_owned(),
        epoch: EPOCH.to_owned(),
        backend: Some(BackendKind::Iptables),
        count: Some(CountMode::Ip),
        pinned: None,
        quality: Quality::Import,
        gaps: Vec::new(),
        interfaces: Vec::new(),
        ports: 0,
        other: Others::default(),
        other_total: None,
        devices: Vec::new(),
        blocked: Default::default(),
        blocked_total: Default::default(),
        device_total: None,
        boot_ms: None,
        sha256: String::new(),
    };
    HourBlock { lines: figures.iter().map(line).collect(), seal }
}

/// `text` if it consists of digits only.
fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests;
