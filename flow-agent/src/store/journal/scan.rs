//! A complete scan of one hourly file: what is sealed in it, and what is wrong with the rest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::ledger::block::HourBlock;
use crate::ledger::record::Quality;
use crate::store::blocks::{Blocks, Item};
use crate::store::damage::Damage;
use crate::store::error::StoreError;

/// The result of scanning a file.
#[derive(Debug)]
pub(super) struct Scan {
    pub path: PathBuf,
    /// The length of the file in bytes.
    pub length: u64,
    /// The offset at which the last complete bucket ends.
    pub whole: u64,
    /// The offset of the lines at the end of the file that have no seal yet, if there are any.
    pub unsealed: Option<u64>,
    /// The highest `seq`.
    pub seq: Option<u64>,
    /// The last bucket of each epoch. Imported buckets are left out, because they do not come from counters.
    pub epochs: BTreeMap<String, HourBlock>,
    /// The ignored parts in file order.
    pub damages: Vec<(Range<u64>, Damage)>,
    /// The `seq` and the checksum of each numbered bucket, in file order.
    pub sums: Vec<(u64, String)>,
}

/// Reads `path`; `None` if there is no such file.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn scan(path: &Path) -> Result<Option<Scan>, StoreError> {
    let Some(blocks) = Blocks::open(path)? else { return Ok(None) };
    let mut scan = Scan {
        path: path.to_owned(),
        length: 0,
        whole: 0,
        unsealed: None,
        seq: None,
        epochs: BTreeMap::new(),
        damages: Vec::new(),
        sums: Vec::new(),
    };
    for item in blocks {
        match item? {
            Item::Block(found) => {
                scan.length = found.bytes.end;
                scan.whole = found.bytes.end;
                scan.take(found.block);
            }
            Item::Damage(damage) => {
                scan.length = damage.bytes.end;
                scan.damages.push((damage.bytes.clone(), Damage::of_block(path, &damage)));
            }
            Item::Tail(tail) => {
                scan.length = tail.damage.bytes.end;
                scan.unsealed = Some(tail.damage.bytes.start);
                scan.damages.push((tail.damage.bytes.clone(), Damage::of_block(path, &tail.damage)));
            }
        }
    }
    Ok(Some(scan))
}

impl Scan {
    fn take(&mut self, block: HourBlock) {
        self.sums.extend(block.seal.seq.map(|seq| (seq, block.seal.sha256.clone())));
        if block.seal.quality == Quality::Import {
            return;
        }
        // Without a `seq`, the later bucket in the file is the newer one.
        let newer = |before: &HourBlock| block.seal.seq.is_none() || block.seal.seq >= before.seal.seq;
        if self.epochs.get(&block.seal.epoch).is_none_or(newer) {
            self.seq = self.seq.max(block.seal.seq);
            self.epochs.insert(block.seal.epoch.clone(), block);
        }
    }
}
