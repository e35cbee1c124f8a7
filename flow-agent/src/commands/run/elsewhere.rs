//! Warns of traffic of watched ports on devices that are not counted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::backend::elsewhere;
use crate::errors::chain;

/// The devices that were named already, so that each is named only once.
#[derive(Clone, Default)]
pub struct ElsewhereWatch(Arc<Mutex<BTreeSet<String>>>);

impl ElsewhereWatch {
    /// Looks on a separate thread: a busy server has many connections to go through, and counting must not wait for
    /// that. Only one look runs at a time.
    pub fn look(&self, watched: BTreeSet<u16>, counted: Vec<String>) {
        let named = Arc::clone(&self.0);
        let looking = move || {
            let Ok(mut named) = named.try_lock() else { return };
            match elsewhere::look(&watched, &counted) {
                Ok(found) => {
                    for elsewhere in found {
                        if named.insert(elsewhere.interface.clone()) {
                            tracing::warn!(help = elsewhere.help(), "{elsewhere}");
                        }
                    }
                }
                Err(error) => tracing::debug!(error = %chain(&error), "failed to read the connections"),
            }
        };
        // The thread is in the network namespace of this one, and ends with the process.
        if let Err(error) = thread::Builder::new().name("elsewhere".to_owned()).spawn(looking) {
            tracing::debug!(%error, "failed to read the connections");
        }
    }
}
