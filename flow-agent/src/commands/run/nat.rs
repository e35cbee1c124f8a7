//! Warns of NAT rules that affect a watched port: at the start, after a reload, and from time to time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::backend::nat;

/// The warnings that were given already, so that each is given only once.
#[derive(Clone, Default)]
pub struct NatWatch(Arc<Mutex<BTreeSet<String>>>);

impl NatWatch {
    /// Looks on a separate thread: it runs other programs, which may hang, and counting must not wait for them. Only
    /// one look runs at a time.
    pub fn look(&self, watched: BTreeSet<u16>) {
        let said = Arc::clone(&self.0);
        let looking = move || {
            let Ok(mut said) = said.try_lock() else { return };
            for touch in nat::look(&watched) {
                let text = touch.to_string();
                if said.insert(text.clone()) {
                    tracing::warn!(help = touch.help(), "{text}");
                }
            }
        };
        // The thread is in the network namespace of this one, and ends with the process.
        if let Err(error) = thread::Builder::new().name("nat".to_owned()).spawn(looking) {
            tracing::debug!(%error, "failed to read the NAT rules");
        }
    }
}
