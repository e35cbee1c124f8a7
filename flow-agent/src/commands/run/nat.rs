//! Tells of NAT rules that touch a watched port: at the start, when the configuration was read again, and now and then.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::backend::nat;

/// What was said already, so that each rule is said once.
#[derive(Clone, Default)]
pub struct NatWatch(Arc<Mutex<BTreeSet<String>>>);

impl NatWatch {
    /// Looks on a thread of its own: other people's programs are asked, which may hang, and counting must not wait for
    /// them. While one look goes on, no other begins.
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
        // It goes on in the network namespace of this one, and ends with the process.
        if let Err(error) = thread::Builder::new().name("nat".to_owned()).spawn(looking) {
            tracing::debug!(%error, "no look at the NAT rules");
        }
    }
}
