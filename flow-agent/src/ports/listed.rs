//! PURE: the contents of one port file: its ports, their owners, and the rows that could not be used as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};

use super::PortOwners;
use super::spec::SpecError;
use crate::ledger::name::{self, NameError};

/// How many complaints about a file are kept; further ones are only counted.
const MAX_COMPLAINTS: usize = 20;

/// How many ports the ranges of a file may list in total, with repetitions: sixteen times as many as there are.
/// Otherwise a small file that lists all ports again and again would keep its reader busy for minutes.
const MAX_LISTED: usize = 1 << 20;

/// The contents of a port file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub owners: PortOwners,
    /// What else the file says about a port; ports without such details are absent.
    pub details: BTreeMap<u16, Detail>,
    /// The first rows that could not be used as they are.
    pub complaints: Vec<Complaint>,
    /// How many more complaints there are.
    pub more_complaints: usize,
    /// Ports to which different rows give different owners.
    pub(super) shared: BTreeSet<u16>,
    /// How many ports ranges have listed so far, at most [`MAX_LISTED`].
    pub(super) listed: usize,
}

/// What a file says about a port besides its owner.
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

/// The period of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaPeriod {
    /// A month that begins on this day; `None` if the file does not name a day.
    Month { first_day: Option<u8> },
    /// Until somebody resets the counters.
    Unlimited,
}

/// What one row of a file says besides its ports.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    pub owner: Option<String>,
    pub detail: Detail,
}

/// A position in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListPosition {
    /// A line, counted from one.
    Line(usize),
    /// An entry of a list or table, counted from one.
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

/// Why a row could not be used as it is. All other rows are used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Complaint {
    #[error("{row} is not counted: {error}")]
    Port { row: ListPosition, error: SpecError },
    #[error("{row} is not counted: the file lists more than {MAX_LISTED} ports, most of them repeatedly")]
    TooMany { row: ListPosition },
    #[error("{row} is not counted: it has no port where `{key}` is expected")]
    NoPort { row: ListPosition, key: &'static str },
    #[error("{row} is not counted: its port is in the environment variable {variable:?}, which is not set")]
    Environment { row: ListPosition, variable: String },
    /// The port is counted all the same: its bytes would otherwise be lost for good, whereas its owner can be named
    /// later.
    #[error("port {port} is counted without an owner: {error}")]
    Name { port: u16, error: NameError },
    #[error("port {port} is counted without an owner: the name in {row} is not UTF-8")]
    NameNotUtf8 { port: u16, row: ListPosition },
    #[error("port {port} is counted without an owner: it is listed for {first} and for {second}")]
    Shared { port: u16, first: String, second: String },
    #[error(
        "line {line}: the files that {pattern:?} includes are not counted: add them, or their folder, to `ports.files`"
    )]
    Include { line: usize, pattern: String },
    #[error("the quota in {row} is unknown: {found:?} is not a number of bytes")]
    Quota { row: ListPosition, found: String },
    #[error("the expiry in {row} is unknown: {found:?} is not a time")]
    Expiry { row: ListPosition, found: String },
}

impl Complaint {
    /// Whether a row is left out, so that its bytes are not counted.
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
    /// Adds a port. If rows give it to different owners it gets none, because it cannot be known whose bytes these are.
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

    /// Adds the ports of a row, or a complaint about them.
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

    /// Adds a complaint.
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

    /// Adds the contents of another file of the same source.
    pub fn merge(&mut self, other: Self) {
        for (port, owner) in other.owners {
            let detail = other.details.get(&port).cloned().unwrap_or_default();
            self.add(port, Claim { owner, detail });
        }
        // After the ports, so that complaints are in the order of the files.
        for complaint in other.complaints {
            self.complain(complaint);
        }
        self.more_complaints += other.more_complaints;
    }
}

/// The owner of a port with these users: the user if there is exactly one, otherwise nobody.
pub fn only_user<N: Into<String>>(users: impl IntoIterator<Item = Option<N>>) -> Option<String> {
    let mut users = users.into_iter();
    match (users.next(), users.next()) {
        (Some(user), None) => user.map(Into::into),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

#[cfg(test)]
mod tests;
