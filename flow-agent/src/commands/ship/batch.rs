//! Buckets that are acknowledged together: their rows, their gaps, and last their manifests.

use crate::fleet::rows::{BUCKET, Checked, GAP, PORT_HOUR};
use crate::fleet::{Client, FleetError, Insert, MOST_ROWS};

/// The rows of some buckets of one file, thus of one day.
///
/// A manifest says that the rows of its bucket are there, so it is sent last: a bucket of which only a part arrived
/// does not count.
#[derive(Debug)]
pub(super) struct Batch {
    ports: Insert,
    gaps: Insert,
    buckets: Insert,
    /// Port rows, including those that were sent in earlier requests.
    rows: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { ports: Insert::new(PORT_HOUR), gaps: Insert::new(GAP), buckets: Insert::new(BUCKET), rows: 0 }
    }

    pub(super) fn buckets(&self) -> usize {
        self.buckets.rows()
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether another bucket with this many rows still fits into one request per table.
    pub(super) fn has_room(&self, rows: usize, gaps: usize) -> bool {
        self.ports.rows() + rows <= MOST_ROWS && self.gaps.rows() + gaps <= MOST_ROWS && self.buckets.rows() < MOST_ROWS
    }

    /// Adds a bucket. If it is too large for one request, its rows are sent while they are added.
    ///
    /// # Errors
    /// When those rows are not acknowledged.
    pub(super) fn add(&mut self, bucket: &Checked<'_>, client: &mut Client) -> Result<(), FleetError> {
        for row in bucket.rows() {
            send_if_full(&mut self.ports, client)?;
            self.ports.add(&row)?;
            self.rows += 1;
        }
        for gap in bucket.gaps() {
            send_if_full(&mut self.gaps, client)?;
            self.gaps.add(&gap)?;
        }
        self.buckets.add(&bucket.manifest())
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// Unless everything is acknowledged.
    pub(super) fn send(self, client: &mut Client) -> Result<(), FleetError> {
        for insert in [self.ports, self.gaps, self.buckets] {
            if insert.rows() > 0 {
                client.insert(insert)?;
            }
        }
        Ok(())
    }
}

fn send_if_full(insert: &mut Insert, client: &mut Client) -> Result<(), FleetError> {
    if insert.rows() == MOST_ROWS {
        let table = insert.table();
        client.insert(std::mem::replace(insert, Insert::new(table)))?;
    }
    Ok(())
}
