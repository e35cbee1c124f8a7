//! EDGE kernel: the counters that the kernel keeps, and how they are read.

mod choice;
mod connections;
pub mod ebpf;
pub mod elsewhere;
mod error;
pub mod host;
pub mod interface;
pub mod interfaces;
pub mod iptables;
mod lock;
pub mod nat;
mod netlink;
mod predecessors;
pub mod privileges;
pub mod stacks;
mod start;

pub use choice::BackendChoice;
pub use error::{BackendError, Cause};
pub use netlink::InterfaceEvents;
pub use start::start;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

pub use flow_common::wire::MAX_SLOTS as MAX_PORTS;

use crate::ledger::limits::budget::UserBudget;
pub use crate::ledger::reading::Identity;
use crate::ledger::reading::{Moment, Reading, Unseen};
use crate::ledger::record::CountMode;

/// A set of live counters. Counters are cumulative and never zeroed while they are live.
///
/// A port's life: [`add`](Backend::add) -> counts -> [`drain`](Backend::drain) -> its last reading is sealed ->
/// [`release`](Backend::release). Added again while draining, it goes on with the same counters.
pub trait Backend {
    /// What a seal says of these counters.
    fn identity(&self) -> Identity;

    /// The interfaces that are counted now, sorted.
    fn interfaces(&self) -> Vec<String>;

    /// The ports that are counted now, without those that drain.
    fn ports(&self) -> BTreeSet<u16>;

    /// Every counter as it is now, those of draining ports too. `at` is asked right before the counters are read.
    ///
    /// # Errors
    /// When the counters cannot be read, or are not ours any more.
    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError>;

    /// Begins to count `ports`, from zero unless they are draining; those that are counted already stay as they are.
    ///
    /// # Errors
    /// [`BackendError::Full`] when a larger set of counters must be made (see [`Backend::replace`]): nothing was done.
    fn add(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError>;

    /// Stops counting `ports`. When it returns their counters stand still and stay in every reading until `release`.
    ///
    /// # Errors
    /// When the kernel refuses; ports that were not stopped are still counted.
    fn drain(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError>;

    /// Forgets the counters of `ports`, which drained and whose last reading is sealed and synced.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn release(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError>;

    /// Makes a new set of counters (a new epoch) for `ports`, lets it count, and stops the present one, which is
    /// handed back to be read a last time, sealed, and deleted.
    ///
    /// # Errors
    /// When the new set cannot be made: the present one goes on.
    fn replace(&mut self, ports: &BTreeSet<u16>) -> Result<Box<dyn Retired>, BackendError>;

    /// Looks whether everything that was attached still is, is ours, and is first; follows the interfaces that came,
    /// went, or were made again; mends what can be mended. Counters that somebody destroyed are made anew, with a new
    /// epoch: [`identity`](Backend::identity) tells, and what is left of the old ones is handed back.
    ///
    /// # Errors
    /// When it cannot be looked at all. What could not be mended is an [`Unseen`] at every call until it is.
    fn inspect(&mut self, now: Moment) -> Result<Inspection, BackendError>;

    /// Says that a bucket of this epoch is sealed and synced; cheap, so say it after every bucket. From then on a start
    /// that does not know the epoch has lost its files, and must not bill from zero what the counters hold.
    ///
    /// # Errors
    /// When the mark cannot be left.
    fn sealed(&mut self) -> Result<(), BackendError> {
        Ok(())
    }

    /// Lets the ports of each budget transfer no more than it allows, and every other port all it wants. `budgets` are all
    /// that there are: one that was there before and is not any more is lifted. Cheap when nothing changed, so say it
    /// again after every reload, after every change of ports or counters, and after the turn of a billing month.
    ///
    /// # Errors
    /// [`BackendError::CannotRefuse`] when this backend cannot refuse packets; others when the kernel refuses. Budgets that
    /// were in force before stay in force.
    fn enforce(&mut self, budgets: &[UserBudget], _now: Moment) -> Result<(), BackendError> {
        if budgets.is_empty() { Ok(()) } else { Err(BackendError::CannotRefuse) }
    }

    /// The same budgets again, after [`enforce_again_after`](Backend::enforce_again_after), for what the kernel does not do
    /// by itself.
    ///
    /// # Errors
    /// As [`enforce`](Backend::enforce).
    fn enforce_again(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        self.enforce(budgets, now)
    }

    /// How soon [`enforce_again`](Backend::enforce_again) is to be called; `None` where there is no need. Where limits are
    /// kept by readings, this is what bounds how many bytes pass beyond one.
    fn enforce_again_after(&self) -> Option<Duration> {
        None
    }

    /// Whether packets of this user are refused at `now`, because the user's budget is used up or has expired.
    fn refuses(&self, _user: &str, _now: Moment) -> bool {
        false
    }
}

/// What [`Backend::inspect`] found.
#[derive(Default)]
pub struct Inspection {
    /// What could not be seen, from the last time all was known to be well until now.
    pub unseen: Vec<Unseen>,
    /// Counters that somebody destroyed, and that were made anew: the last that is known of the old epoch. To be read,
    /// sealed and deleted, in this order, before the next bucket of the backend is sealed.
    pub retired: Vec<Box<dyn Retired>>,
}

/// Counters of a former layout, mode, size or backend that this instance owns: detached, standing still.
pub trait Retired {
    /// What a seal says of these counters.
    fn identity(&self) -> Identity;

    /// The interfaces that were counted, sorted.
    fn interfaces(&self) -> Vec<String>;

    /// The last reading: every port of it is draining.
    ///
    /// # Errors
    /// When the counters cannot be read.
    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError>;

    /// Removes the counters; only after their last reading is sealed and synced.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn delete(self: Box<Self>) -> Result<(), BackendError>;
}

/// A backend that counts, and what it found of its predecessors.
pub struct Started {
    /// A port that a predecessor left draining drains still, even if it is among those to begin with: its counters
    /// stand, so that they can be held against its last line before [`Backend::add`] lets them go on.
    pub backend: Box<dyn Backend>,
    /// To be read, sealed and deleted, in this order, before the first bucket of `backend` is sealed.
    pub retired: Vec<Box<dyn Retired>>,
    /// Known to have been unseen at the start (an adopted program that somebody had detached, an interface that had
    /// gone and come back).
    pub unseen: Vec<Unseen>,
    /// Counters of this instance that have no baseline in this state directory and may have been billed: neither
    /// adopted nor touched, to be named.
    pub unadopted: Vec<PathBuf>,
}

/// What a backend needs to know to start.
#[derive(Clone, Debug)]
pub struct BackendOptions {
    /// Random id made once in the state directory: names our pins and chains.
    pub instance: String,
    /// Where bpffs is, or is to be, mounted.
    pub bpffs: PathBuf,
    /// Names, globs, or `auto`.
    pub interfaces: Vec<String>,
    /// Count on both of two devices that see the same packets.
    pub allow_stacked: bool,
    pub count: CountMode,
    /// Ceiling for the number of ports.
    pub max_ports: u32,
    /// The ports to begin with. Adopted counters of a known epoch go on with those of them that they have; the others
    /// come by [`Backend::add`], for a port that the last bucket closed must not count before another bucket is sealed.
    pub ports: BTreeSet<u16>,
    /// Epochs that have a baseline (a seal or checkpoint) in this state directory: their counters are adopted or
    /// retired. So are those that were never sealed, from zero; others of this instance are named and left alone.
    pub known_epochs: BTreeSet<String>,
    /// The epoch of the newest reading on disk. Of the others that are known the last bucket is sealed: counters of theirs
    /// that are found were restored by somebody, and never go on.
    pub newest_epoch: Option<String>,
    /// The newest reading on disk: what was unseen while no agent ran began no earlier. None: nothing was counted yet.
    pub last_known: Option<Moment>,
    /// Where the programs are attached.
    pub place: AttachPlace,
    /// Let the programs log the frames that they cannot parse.
    pub log: bool,
}

/// Where in a device's path the programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachPlace {
    /// TCX where the kernel has it (6.6), else clsact; clsact, too, where programs have to be attached to very many devices at
    /// once, and nobody else's programs are there on TCX.
    #[default]
    Auto,
    Tcx,
    Clsact,
}
