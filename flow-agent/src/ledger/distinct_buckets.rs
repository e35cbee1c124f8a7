//! Lets each bucket of the hourly log through once.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, FixedOffset};

use super::record::HourSeal;

/// The buckets that were read so far. A log may contain one twice: as a copy, or because a day's file is being replaced
/// by its compressed form.
///
/// A bucket is identified by its epoch and `seq`, not by its start: after a clock was set back, two buckets may begin
/// at the same time. An imported bucket has no `seq` and is identified by its start and its checksum.
#[derive(Debug, Default)]
pub struct DistinctBuckets {
    /// The checksums by epoch and `seq`.
    numbered: HashMap<(String, u64), String>,
    imported: HashSet<(DateTime<FixedOffset>, String)>,
}

/// Two different buckets with the same identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bucket {seq} of this epoch was already read, with other figures")]
pub struct ConflictingBucket {
    pub seq: u64,
}

impl DistinctBuckets {
    /// Whether a bucket of the same identity was admitted, whatever its lines are.
    pub fn has_identity_of(&self, seal: &HourSeal) -> bool {
        match seal.seq {
            Some(seq) => self.numbered.contains_key(&(seal.epoch.clone(), seq)),
            None => self.imported.contains(&(seal.start, seal.sha256.clone())),
        }
    }

    /// Whether the bucket with this seal is new.
    ///
    /// # Errors
    /// If a bucket of the same identity was admitted before with different lines. The first one counts.
    pub fn admit(&mut self, seal: &HourSeal) -> Result<bool, ConflictingBucket> {
        let Some(seq) = seal.seq else {
            return Ok(self.imported.insert((seal.start, seal.sha256.clone())));
        };
        let known = self.numbered.entry((seal.epoch.clone(), seq));
        let is_new = matches!(known, std::collections::hash_map::Entry::Vacant(_));
        let checksum = known.or_insert_with(|| seal.sha256.clone());
        if *checksum == seal.sha256 { Ok(is_new) } else { Err(ConflictingBucket { seq }) }
    }
}
