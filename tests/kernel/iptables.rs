//! Counting by rules, with both variants of the real iptables.

mod adopt;
mod counted;
mod failures;
mod foreign;
mod ipsets;
mod limits;
mod ports;
mod reload;

use flow_agent::backend::{Backend, BackendError, BackendOptions, Started, iptables};
use flow_agent::clock;

pub use crate::common::variant::Variant;

impl Variant {
    pub fn start(&self, options: &BackendOptions) -> Result<Started, BackendError> {
        iptables::start_with(options, &clock::now, &self.path())
    }

    /// Starts a successor of the agent whose counters these are, after it was killed.
    pub fn succeed(&self, killed: Box<dyn Backend>, options: &BackendOptions) -> Started {
        let known_epochs = [killed.identity().epoch].into();
        drop(killed);
        self.start(&BackendOptions { known_epochs, ..options.clone() }).unwrap()
    }
}
