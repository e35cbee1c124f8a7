//! The present state of a running recorder, for those who ask. Nothing on disk or in the kernel is changed.

use super::{Recorder, users};
use crate::clock;
use crate::commands::run::asks::{About, AgentSnapshot, AgentState};
use crate::exit::Failure;
use crate::ledger::unsealed::Closing;

impl Recorder {
    /// The state of the recorder, without a reading.
    pub fn state_now(&self, about: About) -> AgentState {
        AgentState {
            at: clock::now(),
            attached: self.unseen.is_well() && self.replaced.is_empty(),
            last_seal: self.outbox.last_seal(),
            waiting: u32::try_from(self.outbox.len()).unwrap_or(u32::MAX),
            about,
        }
    }

    /// Whether packets of this user are refused now.
    pub fn refuses(&self, user: &str) -> bool {
        self.backend.refuses(user, clock::now())
    }

    /// A fresh reading, shown as the open bucket, together with the buckets that wait to be written.
    ///
    /// # Errors
    /// When the counters cannot be read now, or do not belong to the open bucket.
    pub fn look(&mut self, about: About) -> Result<AgentSnapshot, Failure> {
        let reading = self.backend.read(&clock::now)?;
        let users = users(&self.owners);
        let closing = Closing { users: &users, unseen: self.unseen.all(), read_until: None };
        let interfaces = self.backend.interfaces();
        let open = self.meter.peek(interfaces, &reading, closing).map_err(super::foreign)?;
        Ok(AgentSnapshot {
            state: AgentState { at: reading.at, ..self.state_now(about) },
            open,
            planned_end: self.meter.planned_end(),
            waiting: self.outbox.waiting().cloned().collect(),
        })
    }
}
