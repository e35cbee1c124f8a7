//! EDGE kernel: the counters that the kernel keeps, and how they are read.

mod choice;
mod connections;
pub mod ebpf;
pub mod elsewhere;
mod error;
mod followed;
pub mod host;
pub mod interface;
pub mod interfaces;
pub mod iptables;
pub mod left;
mod lock;
pub mod nat;
mod netlink;
pub mod nftables;
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
/// [`release`](Backend::release). If it is added again while it drains, it continues with the same counters.
pub trait Backend {
    /// What a seal says about these counters.
    fn identity(&self) -> Identity;

    /// The interfaces that are counted now, sorted.
    fn interfaces(&self) -> Vec<String>;

    /// The ports that are counted now, without the draining ones.
    fn ports(&self) -> BTreeSet<u16>;

    /// The present values of all counters, including those of draining ports. `now` is called right before the counters
    /// are read.
    ///
    /// # Errors
    /// When the counters cannot be read, or are no longer ours.
    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError>;

    /// Begins to count `ports`, from zero unless they are draining. Ports that are counted already are not affected.
    ///
    /// # Errors
    /// [`BackendError::Full`] when a larger set of counters must be made (see [`Backend::replace`]). Nothing was done
    /// then.
    fn add(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError>;

    /// Stops counting `ports`. When this returns, their counters no longer change, and remain in every reading until
    /// `release`.
    ///
    /// # Errors
    /// When the kernel refuses; ports that were not stopped are still counted.
    fn drain(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError>;

    /// Forgets the counters of `ports`, which must have drained, with their last reading sealed and synced.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn release(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError>;

    /// Makes a new set of counters (a new epoch) for `ports`, lets it count, and stops the present set. That one is
    /// returned, to be read a last time, sealed, and deleted.
    ///
    /// # Errors
    /// When the new set cannot be made; the present one continues.
    fn replace(&mut self, ports: &BTreeSet<u16>) -> Result<Box<dyn Retired>, BackendError>;

    /// Checks whether everything that was attached still is, is ours, and comes first; follows interfaces that
    /// appeared, disappeared or were created anew; and repairs what can be repaired. Counters that somebody destroyed
    /// are made anew with a new epoch, which [`identity`](Backend::identity) then returns, and what is left of the old
    /// ones is handed over.
    ///
    /// # Errors
    /// When nothing could be checked. What could not be repaired is an [`Unseen`] of every call until it is.
    fn inspect(&mut self, now: Moment) -> Result<Inspection, BackendError>;

    /// Marks that a bucket of this epoch is sealed and synced. This is cheap, so call it after every bucket. From then
    /// on, an agent that starts without knowing the epoch must have lost its files, and must not bill what the counters
    /// hold from zero.
    ///
    /// # Errors
    /// When the mark cannot be set.
    fn sealed(&mut self) -> Result<(), BackendError> {
        Ok(())
    }

    /// Limits the ports of each budget to what it allows, and no other port. `budgets` is complete: a budget that is no
    /// longer in it is lifted. Cheap when nothing has changed, so call it again after every reload, after every change
    /// of ports or counters, and after the turn of a billing month.
    ///
    /// # Errors
    /// [`BackendError::CannotRefuse`] when this backend cannot refuse packets; others when the kernel refuses. Budgets
    /// that were in force before remain in force.
    fn enforce(&mut self, budgets: &[UserBudget], _now: Moment) -> Result<(), BackendError> {
        if budgets.is_empty() { Ok(()) } else { Err(BackendError::CannotRefuse) }
    }

    /// Passes the same budgets again, after [`enforce_again_after`](Backend::enforce_again_after), for what the kernel
    /// does not do by itself.
    ///
    /// # Errors
    /// As [`enforce`](Backend::enforce).
    fn enforce_again(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        self.enforce(budgets, now)
    }

    /// How soon [`enforce_again`](Backend::enforce_again) must be called; `None` if the kernel keeps the budgets by
    /// itself. If limits are enforced by readings, this bounds how many bytes pass beyond them.
    fn enforce_again_after(&self) -> Option<Duration> {
        None
    }

    /// Whether packets of this user are refused at `now`, because the user's budget is used up or the user has expired.
    fn refuses(&self, _user: &str, _now: Moment) -> bool {
        false
    }
}

/// The result of [`Backend::inspect`].
#[derive(Default)]
pub struct Inspection {
    /// What was not measured, from the last time at which everything was known to be well until now.
    pub unseen: Vec<Unseen>,
    /// Counters that somebody destroyed and that were made anew: the last known state of the old epochs. To be read,
    /// sealed and deleted, in this order, before the next bucket of the backend is sealed.
    pub retired: Vec<Box<dyn Retired>>,
    /// Something is broken and not repaired yet. Write a checkpoint with `unseen`, and inspect again at once: that
    /// repairs it. An agent that died after a repair that no checkpoint knows of would leave counters that look as if
    /// they had missed nothing.
    pub is_broken: bool,
}

/// Counters of a former layout, mode, size or backend that belong to this instance. They are detached, and no longer
/// change.
pub trait Retired {
    /// What a seal says about these counters.
    fn identity(&self) -> Identity;

    /// The interfaces that were counted, sorted.
    fn interfaces(&self) -> Vec<String>;

    /// The last reading, in which every port is draining.
    ///
    /// # Errors
    /// When the counters cannot be read.
    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError>;

    /// Deletes the counters. Call it only after their last reading is sealed and synced.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn delete(self: Box<Self>) -> Result<(), BackendError>;
}

/// A backend that counts, and what it found of its predecessors.
pub struct Started {
    /// The new backend. A port that a predecessor left draining is still draining, even if it is among those to begin
    /// with: its counters do not change, so that they can be compared with its last line before [`Backend::add`] lets
    /// them continue.
    pub backend: Box<dyn Backend>,
    /// To be read, sealed and deleted, in this order, before the first bucket of `backend` is sealed.
    pub retired: Vec<Box<dyn Retired>>,
    /// Times known at the start not to have been measured: somebody had detached an adopted program, or an interface
    /// had disappeared and come back.
    pub unseen: Vec<Unseen>,
    /// Counters of this instance that have no baseline in this state directory and may have been billed. They are
    /// neither adopted nor changed, but reported.
    pub unadopted: Vec<PathBuf>,
}

/// What a backend needs to know to start.
#[derive(Clone, Debug)]
pub struct BackendOptions {
    /// The random id of the state directory, which is part of the names of our pins and chains.
    pub instance: String,
    /// Where bpffs is mounted, or will be.
    pub bpffs: PathBuf,
    /// Names, globs, or `auto`.
    pub interfaces: Vec<String>,
    /// Whether to count on both of two devices that see the same packets.
    pub allow_stacked: bool,
    pub count: CountMode,
    /// The maximum number of ports.
    pub max_ports: u32,
    /// The ports to begin with. Adopted counters of a known epoch continue for those of them that they have. The others
    /// are added by [`Backend::add`], because a port that the last bucket closed must not count before another bucket
    /// is sealed.
    pub ports: BTreeSet<u16>,
    /// Epochs that have a baseline (a seal or checkpoint) in this state directory: their counters are adopted or
    /// retired. Counters that were never sealed are too, from zero; others of this instance are reported and left
    /// alone.
    pub known_epochs: BTreeSet<String>,
    /// The epoch of the newest reading on disk. The last buckets of the other known epochs are sealed: if counters of
    /// theirs are found, somebody restored them, and they never continue.
    pub newest_epoch: Option<String>,
    /// The names of the devices that the newest bucket on disk counted: `auto` selects them while there is no default route.
    pub counted_before: BTreeSet<String>,
    /// When the newest reading on disk was taken: a gap while no agent ran began no earlier. `None` if nothing was
    /// counted yet.
    pub last_known: Option<Moment>,
    /// Where the programs are attached.
    pub place: AttachPlace,
    /// Whether the programs log frames that they cannot parse.
    pub log: bool,
}

/// Where in a device's path the programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachPlace {
    /// TCX if the kernel has it (6.6 and later), else clsact. Also clsact if programs must be attached to very many
    /// devices at once and nobody else's programs are on TCX there.
    #[default]
    Auto,
    Tcx,
    Clsact,
}
