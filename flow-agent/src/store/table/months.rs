//! Writes billing months into the file of their year.

use std::borrow::Borrow;

use super::{Keyed, Table};
use crate::ledger::block::{self, Monthly};
use crate::ledger::month::Month;
use crate::ledger::record::{MonthLine, MonthSeal};
use crate::store::damage::Damage;
use crate::store::disk;
use crate::store::error::StoreError;
use crate::store::lock::ReportLock;

impl Keyed for Monthly {
    type Key = Month;

    fn key(seal: &MonthSeal) -> Month {
        seal.month
    }
}

/// Writes a month with its lines into `monthly/`, and replaces the existing one. Returns whether that changed the file,
/// and the damage in it, which is copied to separate files if the file is replaced.
///
/// # Errors
/// When the file cannot be read or replaced.
pub fn put_month(
    lock: &ReportLock,
    lines: impl IntoIterator<Item: Borrow<MonthLine>>,
    mut seal: MonthSeal,
) -> Result<(bool, Vec<Damage>), StoreError> {
    let state = lock.state();
    let path = state.monthly(seal.month.year());
    state.create_dir(disk::parent(&path))?;
    let mut table = Table::<Monthly>::open(path)?;
    let text = block::encode::<Monthly>(lines, &mut seal);
    let changed = table.put(text, seal)?;
    let damages = table.commit(state.disk())?;
    Ok((changed, damages))
}
