//! PURE: what one port file says: its ports, whose they are, and the rows that could not be taken as they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};

use super::PortOwners;
use super::spec::SpecError;
use crate::ledger::name::{self, NameError};

/// More complaints of one file are only counted.
const MAX_COMPLAINTS: usize = 20;

/// The ports of all ranges of a file together, counted as often as they are listed: sixteen times as many as there are. A
/// small file that lists all ports again and again would otherwise keep its reader busy for minutes.
const MAX_LISTED: usize = 1 << 20;

/// What a port file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub owners: PortOwners,
    /// What else the file says of a port; a port without anything is left out.
    pub details: BTreeMap<u16, Detail>,
    /// The first rows that could not be taken as they stand.
    pub complaints: Vec<Complaint>,
    /// How many more complaints there are.
    pub more_complaints: usize,
    /// Ports that different rows give to different owners.
    pub(super) shared: BTreeSet<u16>,
    /// How many ports ranges have listed so far, at most [`MAX_LISTED`].
    pub(super) listed: usize,
}

/// What a file says of a port besides its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// The remark or tag of the port's row.
    pub label: Option<String>,
    pub quota: Option<PanelQuota>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// How many bytes a port may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanelQuota {
    pub bytes: u64,
    pub period: QuotaPeriod,
}

/// The time for which a quota holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaPeriod {
    /// A month that begins on this day, where the file names one.
    Month { first_day: Option<u8> },
    /// Until somebody resets the counters.
    Unlimited,
}

/// What one row of a file says, besides its ports.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    pub owner: Option<String>,
    pub detail: Detail,
}

/// Where in a file something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListPosition {
    /// Counted from one.
    Line(usize),
    /// Counted from one, of a list or table.
    Entry(usize),
    /// A part of the file that has a name, such as an inbound and its tag.
    Named { kind: &'static str, name: String },
}

impl ListPosition {
    /// The part of this `kind` that is called `name`, or else the `index`-th entry, counted from zero.
    pub fn named(kind: &'static str, name: Option<&str>, index: usize) -> Self {
        match name.map(str::trim).filter(|name| !name.is_empty()) {
            Some(name) => Self::Named { kind, name: name.chars().take(64).collect() },
            None => Self::Entry(index + 1),
        }
    }
}

impl fmt::Display for ListPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Entry(entry) => write!(f, "entry {entry}"),
            Self::Named { kind, name } => write!(f, "{kind} {name:?}"),
        }
    }
}

/// Why a row could not be taken as it stands; all other rows are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Complaint {
    #[error("{row} is not counted: {error}")]
    Port { row: ListPosition, error: SpecError },
    #[error("{row} is not counted: the file lists more than {MAX_LISTED} ports, most of them again and again")]
    TooMany { row: ListPosition },
    #[error("{row} is not counted: it has no port where `{key}` is expected")]
    NoPort { row: ListPosition, key: &'static str },
    #[error("{row} is not counted: its port is in the environment variable {variable:?}, which is not set here")]
    Environment { row: ListPosition, variable: String },
    /// The bytes of a port that is not counted would be lost for good; its owner can be named later.
    #[error("port {port} is counted without an owner: {error}")]
    Name { port: u16, error: NameError },
    #[error("port {port} is counted without an owner: the name in {row} is not UTF-8")]
    NameNotUtf8 { port: u16, row: ListPosition },
    #[error("port {port} is counted without an owner: it is listed for {first} and for {second}")]
    Shared { port: u16, first: String, second: String },
    #[error("line {line}: what {pattern:?} includes is not counted: add it to `ports.files`, each file or its folder")]
    Include { line: usize, pattern: String },
    #[error("the quota in {row} is not known: {found:?} is not a number of bytes")]
    Quota { row: ListPosition, found: String },
    #[error("the expiry in {row} is not known: {found:?} is not a time")]
    Expiry { row: ListPosition, found: String },
}

impl Complaint {
    /// Whether a row is left out, so that its bytes are counted by nobody.
    pub fn leaves_out(&self) -> bool {
        match self {
            Self::Port { .. }
            | Self::TooMany { .. }
            | Self::NoPort { .. }
            | Self::Environment { .. }
            | Self::Include { .. } => true,
            Self::Name { .. }
            | Self::NameNotUtf8 { .. }
            | Self::Shared { .. }
            | Self::Quota { .. }
            | Self::Expiry { .. } => false,
        }
    }
}

impl Listed {
    /// Adds a port. A port that rows give to different owners has none, since nobody can say whose its bytes are.
    pub fn add(&mut self, port: u16, claim: Claim) {
        let owner = claim.owner.map(|owner| owner.trim().to_owned()).filter(|owner| !owner.is_empty());
        let owner = owner.and_then(|owner| match name::check(&owner) {
            Ok(()) => Some(owner),
            Err(error) => {
                self.complain(Complaint::Name { port, error });
                None
            }
        });
        if claim.detail != Detail::default() {
            self.details.entry(port).or_insert(claim.detail);
        }
        let Some(known) = self.owners.get_mut(&port) else {
            self.owners.insert(port, owner);
            return;
        };
        if *known == owner || self.shared.contains(&port) {
            return;
        }
        let shown = |owner: Option<String>| owner.map_or_else(|| "nobody".to_owned(), |owner| format!("{owner:?}"));
        let complaint = Complaint::Shared { port, first: shown(known.take()), second: shown(owner) };
        self.shared.insert(port);
        self.complain(complaint);
    }

    /// Adds the ports of a row, or complains about them.
    pub fn add_ranges(
        &mut self,
        row: &ListPosition,
        ranges: Result<Vec<RangeInclusive<u16>>, SpecError>,
        claim: &Claim,
    ) {
        match ranges {
            Ok(ranges) => {
                let more: usize = ranges.iter().map(ExactSizeIterator::len).sum();
                if self.listed + more > MAX_LISTED {
                    return self.complain(Complaint::TooMany { row: row.clone() });
                }
                self.listed += more;
                ranges.into_iter().flatten().for_each(|port| self.add(port, claim.clone()));
            }
            Err(error) => self.complain(Complaint::Port { row: row.clone(), error }),
        }
    }

    /// Notes what could not be taken.
    pub fn complain(&mut self, complaint: Complaint) {
        if self.complaints.len() < MAX_COMPLAINTS {
            self.complaints.push(complaint);
        } else {
            self.more_complaints += 1;
        }
    }

    /// How many complaints there are.
    pub fn complaint_count(&self) -> usize {
        self.complaints.len() + self.more_complaints
    }

    /// Adds what another file of the same source says.
    pub fn merge(&mut self, other: Self) {
        for (port, owner) in other.owners {
            let detail = other.details.get(&port).cloned().unwrap_or_default();
            self.add(port, Claim { owner, detail });
        }
        // After the ports: complaints about them come in the order of the files.
        for complaint in other.complaints {
            self.complain(complaint);
        }
        self.more_complaints += other.more_complaints;
    }
}

/// The owner of a port with these users: the only one, or nobody where there are several or none.
pub fn only_user<N: Into<String>>(users: impl IntoIterator<Item = Option<N>>) -> Option<String> {
    let mut users = users.into_iter();
    match (users.next(), users.next()) {
        (Some(user), None) => user.map(Into::into),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

#[cfg(test)]
mod tests;
