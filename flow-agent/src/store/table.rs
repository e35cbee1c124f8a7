//! The derived files in `daily/`, `monthly/` and `nodes/NAME/daily/`. A new block replaces the block of the same day or
//! month, all other blocks are kept byte for byte, and the file is replaced atomically.

mod days;
mod gathered;
mod month_end;
mod months;
mod open_days;
mod replace;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use days::put_days;
pub use gathered::{Fetched, Kept, KeptRecord, VerifiedFile, keep_gathered, put_gathered};
pub use months::put_month;
pub use replace::{DayOutcome, KeepReason};

use super::blocks::{Blocks, Item};
use super::damage::{Damage, keep_damaged};
use super::disk::{self, Disk, Replacement};
use super::error::StoreError;
use super::seals::{self, FoundSeal};
use crate::guarded::open_to_read;
use crate::ledger::block::{self, BlockKind};

/// A kind of block with a key.
trait Keyed: BlockKind {
    type Key: Ord + Copy;

    fn key(seal: &Self::Seal) -> Self::Key;
}

/// One file, and the blocks to be written into it.
struct Table<K: Keyed> {
    path: PathBuf,
    pieces: BTreeMap<K::Key, Piece<K>>,
    /// Damaged parts of the existing file, which are not copied into the new one.
    damaged: Vec<(Range<u64>, Damage)>,
    changed: bool,
}

/// A block of the new file.
struct Piece<K: Keyed> {
    seal: K::Seal,
    source: Source,
}

/// The source of a block's bytes.
enum Source {
    /// The existing file.
    Old(Range<u64>),
    /// Another file.
    Elsewhere(PathBuf, Range<u64>),
    New(String),
}

impl<K: Keyed> Table<K> {
    /// Reads the blocks of `path`, which need not exist.
    fn open(path: PathBuf) -> Result<Self, StoreError> {
        let mut table = Self { pieces: BTreeMap::new(), damaged: Vec::new(), changed: false, path };
        for item in Blocks::<K>::open(&table.path)?.into_iter().flatten() {
            let damage = match item? {
                Item::Block(found) => {
                    let seal = found.block.seal;
                    // If a key appears twice, the last block wins and the other is dropped.
                    let piece = Piece { source: Source::Old(found.bytes), seal };
                    table.changed |= table.pieces.insert(K::key(&piece.seal), piece).is_some();
                    continue;
                }
                Item::Damage(damage) => damage,
                Item::Tail(tail) => tail.damage,
            };
            table.damaged.push((damage.bytes.clone(), Damage::of_block(&table.path, &damage)));
        }
        Ok(table)
    }

    /// Like [`Table::open`], but does not read the lines of a file that looks as this program writes it.
    fn open_by_seals(path: PathBuf) -> Result<Self, StoreError> {
        let Some(found) = seals::find::<K>(&path)? else { return Self::open(path) };
        let count = found.len();
        let piece =
            |found: FoundSeal<K>| (K::key(&found.seal), Piece { seal: found.seal, source: Source::Old(found.bytes) });
        let pieces: BTreeMap<_, _> = found.into_iter().map(piece).collect();
        // Of a key that appears twice, the last block counts if it is not damaged.
        if pieces.len() < count {
            Self::open(path)
        } else {
            Ok(Self { path, pieces, damaged: Vec::new(), changed: false })
        }
    }

    /// Removes the block with this key.
    fn remove(&mut self, key: K::Key) {
        self.changed |= self.pieces.remove(&key).is_some();
    }

    /// The seal of the block with this key in the new file, if there is one.
    fn seal(&self, key: K::Key) -> Option<&K::Seal> {
        self.pieces.get(&key).map(|piece| &piece.seal)
    }

    /// Inserts an encoded block. Returns `false` without a change if the file has the same bytes already.
    ///
    /// # Errors
    /// Like [`Table::set_new`]; also when the file cannot be read.
    fn put(&mut self, text: String, seal: K::Seal) -> Result<bool, StoreError> {
        let same = self.same(K::key(&seal), &mut text.as_bytes())?;
        if !same {
            self.set_new(text, seal)?;
        }
        Ok(!same)
    }

    /// Inserts an encoded block, and replaces the one with the same key.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] if readers would refuse the block.
    fn set_new(&mut self, text: String, seal: K::Seal) -> Result<(), StoreError> {
        block::check_size::<K>(&text).map_err(|source| StoreError::TooLarge { path: self.path.clone(), source })?;
        self.set(seal, Source::New(text));
        Ok(())
    }

    /// Inserts a block from another file.
    fn put_from(&mut self, path: &Path, seal: K::Seal, bytes: Range<u64>) {
        self.set(seal, Source::Elsewhere(path.to_owned(), bytes));
    }

    fn set(&mut self, seal: K::Seal, source: Source) {
        self.pieces.insert(K::key(&seal), Piece { seal, source });
        self.changed = true;
    }

    /// Whether the existing file has exactly these bytes for the block with this key.
    fn same(&self, key: K::Key, new: &mut dyn Read) -> Result<bool, StoreError> {
        let Some(Piece { source: Source::Old(old), .. }) = self.pieces.get(&key) else { return Ok(false) };
        let compare = || disk::same_bytes(part(&self.path, old)?, new);
        compare().map_err(StoreError::io("read", &self.path))
    }

    /// Replaces the file if anything changed; damaged parts are copied to separate files first. Returns the damage in
    /// either case.
    fn commit(self, disk: &dyn Disk) -> Result<Vec<Damage>, StoreError> {
        if self.changed {
            self.keep_damaged(disk)?;
            self.write(disk).map_err(StoreError::io("replace", &self.path))?;
        }
        Ok(self.into_damages())
    }

    fn keep_damaged(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        self.damaged.iter().try_for_each(|(bytes, _)| keep_damaged(disk, &self.path, bytes.clone()).map(drop))
    }

    fn into_damages(self) -> Vec<Damage> {
        self.damaged.into_iter().map(|(_, damage)| damage).collect()
    }

    fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut replacement = Replacement::begin(disk, &self.path)?;
        for piece in self.pieces.values() {
            let (path, bytes) = match &piece.source {
                Source::New(text) => {
                    replacement.write(text.as_bytes())?;
                    continue;
                }
                Source::Old(bytes) => (&self.path, bytes),
                Source::Elsewhere(path, bytes) => (path, bytes),
            };
            let mut file = open_to_read(path)?;
            file.seek(SeekFrom::Start(bytes.start))?;
            replacement.copy(&mut file, bytes.end - bytes.start)?;
        }
        replacement.commit()
    }
}

/// Opens a file to read only the given bytes.
fn part(path: &Path, bytes: &Range<u64>) -> io::Result<io::Take<File>> {
    let mut file = open_to_read(path)?;
    file.seek(SeekFrom::Start(bytes.start))?;
    Ok(file.take(bytes.end - bytes.start))
}

#[cfg(test)]
mod tests;
