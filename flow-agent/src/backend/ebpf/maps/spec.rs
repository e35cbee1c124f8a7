//! EDGE kernel: the expected layout of a set's maps, and whether pinned maps match it.

use std::path::Path;

use aya::maps::{MapInfo, MapType};
use flow_common::gate::Refused;
use flow_common::wire::{self, FragmentKey, FragmentValue, Line, PortSlots, SlotOwner};

use crate::backend::BackendError;
use crate::backend::ebpf::pins::bpffs::{self, FoundSet};
use crate::backend::ebpf::pins::layout::MapSetName;

pub const PORT_SLOT: &str = "PORT_SLOT";
pub const CELLS: &str = "CELLS";
pub const SLOT_OWNER: &str = "SLOT_OWNER";
pub const FRAGMENTS: &str = "FRAGMENTS";
/// What was refused, by slot. A set gets this map when a user is limited for the first time, and keeps it.
pub const REFUSED: &str = "REFUSED";
/// The names of the maps that every set has.
pub const ALL: [&str; 4] = [PORT_SLOT, CELLS, SLOT_OWNER, FRAGMENTS];

const BPF_F_MMAPABLE: u32 = 0x400;

/// The properties that a map must have.
pub struct ExpectedMap {
    pub name: &'static str,
    map_type: MapType,
    key_bytes: usize,
    value_bytes: usize,
    pub max_entries: u32,
    flags: u32,
}

/// The maps that belong to a set with this name.
pub fn expected_maps(name: &MapSetName) -> [ExpectedMap; 4] {
    [
        array(PORT_SLOT, size_of::<PortSlots>(), 1),
        array(CELLS, size_of::<Line>(), name.cpus.saturating_mul(name.lines())),
        array(SLOT_OWNER, size_of::<SlotOwner>(), name.slots + 1),
        ExpectedMap {
            name: FRAGMENTS,
            map_type: MapType::LruHash,
            key_bytes: size_of::<FragmentKey>(),
            value_bytes: size_of::<FragmentValue>(),
            max_entries: wire::FRAGMENT_ENTRIES,
            flags: 0,
        },
    ]
}

/// The map of refused bytes and packets.
pub fn expected_refused(name: &MapSetName) -> ExpectedMap {
    array(REFUSED, size_of::<Refused>(), name.slots + 1)
}

/// An array that can be mapped into memory.
pub fn array(name: &'static str, value_bytes: usize, max_entries: u32) -> ExpectedMap {
    let (map_type, key_bytes) = (MapType::Array, size_of::<u32>());
    ExpectedMap { name, map_type, key_bytes, value_bytes, max_entries, flags: BPF_F_MMAPABLE }
}

impl ExpectedMap {
    /// Checks a pinned map before it is used.
    ///
    /// # Errors
    /// [`BackendError::PinnedMap`] with the first property that is wrong.
    pub fn verify(&self, pin: &Path) -> Result<(), BackendError> {
        let load = |source| BackendError::Load { what: format!("pinned map {}", self.name), source };
        let info = MapInfo::from_pin(pin).map_err(|source| load(Box::new(source)))?;
        // A type that aya does not know is certainly not ours.
        let found_type = info.map_type().map_or(u64::MAX, |map_type| map_type as u64);
        let facts = [
            ("type", found_type, self.map_type as u64),
            ("key size", info.key_size().into(), self.key_bytes as u64),
            ("value size", info.value_size().into(), self.value_bytes as u64),
            ("entries", info.max_entries().into(), self.max_entries.into()),
            ("flags", info.map_flags().into(), self.flags.into()),
        ];
        match facts.into_iter().find(|(_, found, expected)| found != expected) {
            Some((what, found, expected)) => {
                Err(BackendError::PinnedMap { path: pin.to_owned(), what, found, expected })
            }
            None => Ok(()),
        }
    }
}

/// Whether all maps of a set are pinned. A start that died halfway may have pinned only some of them.
///
/// # Errors
/// When the pins cannot be looked at.
pub fn is_complete(found: &FoundSet) -> Result<bool, BackendError> {
    for map in expected_maps(&found.name) {
        if !bpffs::exists(&found.path.join(map.name))? {
            return Ok(false);
        }
    }
    Ok(true)
}
