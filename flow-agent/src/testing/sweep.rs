//! For tests: repeats an action with every fault at every operation, and with every power cut after that.

use std::sync::Arc;

use super::crash_disk::{CrashDisk, Fault, POWER_CUTS, PowerCut};
use crate::store::{StateDir, StoreError};
use crate::testing::fixtures;

/// The action's result, the fault, and the state that is left.
#[derive(Debug)]
pub struct Aftermath<T> {
    /// The state directory, on a disk that works again.
    pub state: StateDir,
    pub fault: Fault,
    /// The number of the operation that failed, from 0.
    pub at: usize,
    /// `None` if only the process ended.
    pub cut: Option<PowerCut>,
    pub outcome: Result<T, StoreError>,
}

/// Runs `act` in a new state directory that `prepare` filled, once for each fault at each operation and each power cut
/// after it, and then `check`. Returns the number of operations that `act` takes when nothing fails.
pub fn at_every_operation<T>(
    prepare: impl Fn(&StateDir),
    act: impl Fn(&StateDir, &CrashDisk) -> Result<T, StoreError>,
    check: impl Fn(Aftermath<T>),
) -> usize {
    let mut operations = 0;
    for fault in [Fault::Die, Fault::Io, Fault::Full] {
        for cut in [None].into_iter().chain(POWER_CUTS.map(Some)) {
            for at in 0.. {
                let dir = fixtures::dir();
                prepare(&StateDir::new(dir.path()));
                let disk = CrashDisk::new(dir.path());
                disk.plan(at, fault);
                let outcome = act(&StateDir::on(dir.path(), Arc::new(disk.clone())), &disk);
                let struck = disk.struck();
                if let Some(cut) = cut {
                    disk.cut_power(cut);
                }
                check(Aftermath { state: StateDir::new(dir.path()), fault, at, cut, outcome });
                if !struck {
                    operations = at;
                    break;
                }
            }
        }
    }
    operations
}
