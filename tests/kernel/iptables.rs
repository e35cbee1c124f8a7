//! Counting by rules, with both variants of the real iptables and with nftables.

mod adopt;
mod counted;
mod failures;
mod foreign;
mod ipsets;
mod limits;
mod native;
mod ports;
mod reload;

use flow_agent::backend::{Backend, BackendError, BackendOptions, Started, iptables, nftables};
use flow_agent::clock;

pub use crate::common::variant::Variant;
use crate::support::INSTANCE;

impl Variant {
    pub fn start(&self, options: &BackendOptions) -> Result<Started, BackendError> {
        match self.is_native() {
            true => nftables::start_with(options, &clock::now, &self.path()),
            false => iptables::start_with(options, &clock::now, &self.path()),
        }
    }

    /// The existing sets of counters, by the prefix of their names.
    pub fn sets(&self) -> Vec<String> {
        match self.is_native() {
            true => nftables::survey(INSTANCE).unwrap().into_iter().map(|set| set.name).collect(),
            false => iptables::survey(INSTANCE).unwrap().into_iter().map(|set| set.chains).collect(),
        }
    }

    /// Removes everything of the instance.
    pub fn uninstall(&self) -> Result<Vec<String>, BackendError> {
        match self.is_native() {
            true => nftables::uninstall(INSTANCE),
            false => iptables::uninstall(INSTANCE),
        }
    }

    /// Starts a successor of the agent whose counters these are, after it was killed.
    pub fn succeed(&self, killed: Box<dyn Backend>, options: &BackendOptions) -> Started {
        let known_epochs = [killed.identity().epoch].into();
        drop(killed);
        self.start(&BackendOptions { known_epochs, ..options.clone() }).unwrap()
    }
}
