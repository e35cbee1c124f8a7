//! One pass over the hourly log: finds what has not been acknowledged, sends it, and stores how far it came.

use chrono::{DateTime, NaiveDate, Utc};

use super::batch::Batch;
use crate::exit::Failure;
use crate::fleet::rows::{Checked, RowSender};
use crate::fleet::{Client, FleetError};
use crate::ledger::record::HourSeal;
use crate::ledger::seal::sha256_hex;
use crate::store::hours::{self, HourItem, Hours};
use crate::store::ship::{self, FileVersion, ShipState, ShippedFile};
use crate::store::{ShipLock, StateDir, StoreError};

/// Sends the sealed buckets of one node.
pub(super) struct Shipper<'a> {
    lock: &'a ShipLock,
    client: Client,
    sender: RowSender,
    shipped: ShipState,
}

/// What a pass sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) buckets: usize,
    pub(super) rows: usize,
    /// Buckets with figures that ClickHouse cannot store unchanged.
    pub(super) refused: usize,
}

/// Why a pass ended early. What was acknowledged until then is stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassError {
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PassError> for Failure {
    fn from(error: PassError) -> Self {
        match error {
            PassError::Fleet(error) => error.into(),
            PassError::Store(error) => error.into(),
        }
    }
}

/// The position in one day.
#[derive(Debug)]
struct Position {
    date: NaiveDate,
    buckets: u64,
    digest: String,
    rev: u64,
    refused: u64,
}

/// Whether the buckets that were acknowledged are still those in the log.
enum Reading {
    Done,
    Changed,
}

impl<'a> Shipper<'a> {
    pub(super) fn new(lock: &'a ShipLock, client: Client, sender: RowSender, shipped: ShipState) -> Self {
        Self { lock, client, sender, shipped }
    }

    /// The end of the newest bucket that was acknowledged.
    pub(super) fn newest(&self) -> Option<DateTime<Utc>> {
        self.shipped.newest.map(|end| end.to_utc())
    }

    /// Sends every bucket that has not been acknowledged, the oldest file first.
    ///
    /// # Errors
    /// At the first request that is not acknowledged, and when files cannot be read or written.
    pub(super) fn pass(&mut self, now: DateTime<Utc>) -> Result<Sent, PassError> {
        let mut sent = Sent::default();
        for date in hours::dates(self.state())? {
            // The versions are taken before the file is read: what is appended meanwhile is noticed the next time.
            let versions = ship::versions(self.state(), date)?;
            let known = self.shipped.files.get(&date).cloned().unwrap_or_default();
            if known.complete == versions {
                continue;
            }
            if let Reading::Changed = self.day(date, &known, &versions, &mut sent)? {
                let rev = revision_after(known.rev, now);
                tracing::warn!(%date, rev, "buckets of this day changed after they were sent; the day is sent again");
                let anew = ShippedFile { rev, ..ShippedFile::default() };
                self.day(date, &anew, &versions, &mut sent)?;
            }
        }
        Ok(sent)
    }

    fn state(&self) -> &'a StateDir {
        self.lock.state()
    }

    fn day(
        &mut self,
        date: NaiveDate,
        known: &ShippedFile,
        versions: &[FileVersion],
        sent: &mut Sent,
    ) -> Result<Reading, PassError> {
        let mut position = Position { date, buckets: 0, digest: String::new(), rev: known.rev, refused: known.refused };
        let sender = self.sender.clone();
        let mut batch = Batch::new();
        let mut last = None;
        let hours = Hours::read(self.state(), date..=date)?;
        for hour in hours {
            let block = match hour? {
                HourItem::Bucket(block) => *block,
                HourItem::Damage(damage) => {
                    tracing::debug!("not sent: {damage}");
                    continue;
                }
                // The agent is writing it right now, or will repair it when it next starts.
                HourItem::Unfinished(_) => continue,
            };
            if position.buckets < known.buckets {
                position.advance(&block.seal);
                if position.buckets == known.buckets && position.digest != known.digest {
                    return Ok(Reading::Changed);
                }
                continue;
            }
            match Checked::new(&block, &sender, known.rev) {
                Ok(checked) => {
                    let (rows, gaps) = (checked.rows().count(), block.seal.gaps.len());
                    if batch.buckets() > 0 && !batch.has_room(rows, gaps) {
                        let full = std::mem::replace(&mut batch, Batch::new());
                        self.send(full, &position, last.as_ref(), &[], sent)?;
                    }
                    batch.add(&checked, &mut self.client)?;
                }
                Err(error) => {
                    tracing::error!(day = %date, "{error}");
                    sent.refused += 1;
                    position.refused += 1;
                }
            }
            position.advance(&block.seal);
            last = Some(block.seal);
        }
        if position.buckets < known.buckets {
            return Ok(Reading::Changed);
        }
        self.send(batch, &position, last.as_ref(), versions, sent)?;
        Ok(Reading::Done)
    }

    /// Sends a batch and stores that everything up to `position`, where the bucket of `last` ends, is acknowledged.
    fn send(
        &mut self,
        batch: Batch,
        position: &Position,
        last: Option<&HourSeal>,
        complete: &[FileVersion],
        sent: &mut Sent,
    ) -> Result<(), PassError> {
        let (buckets, rows) = (batch.buckets(), batch.rows());
        batch.send(&mut self.client)?;
        if let Some(seal) = last {
            self.shipped.file = Some(position.date);
            self.shipped.seq = seal.seq;
            self.shipped.rev = Some(position.rev);
            self.shipped.newest = self.shipped.newest.max(Some(seal.end));
        }
        let Position { buckets: number, ref digest, rev, refused, .. } = *position;
        let file = ShippedFile { buckets: number, digest: digest.clone(), rev, refused, complete: complete.to_vec() };
        self.shipped.files.insert(position.date, file);
        ship::write(self.lock, &self.shipped)?;
        sent.buckets += buckets;
        sent.rows += rows;
        Ok(())
    }
}

impl Position {
    fn advance(&mut self, seal: &HourSeal) {
        let seal = serde_json::to_string(seal).expect("a seal has only text and integers as values");
        self.digest = sha256_hex(format!("{}\n{seal}", self.digest).as_bytes());
        self.buckets += 1;
    }
}

/// A revision that is higher than the one before, and also than one that was stored and then lost when a backup was
/// restored: the time at which the change was noticed, in seconds since 1970.
fn revision_after(before: u64, now: DateTime<Utc>) -> u64 {
    u64::try_from(now.timestamp()).unwrap_or_default().max(before + 1)
}

#[cfg(test)]
mod tests;
