//! EDGE clock: makes sure that every packet is counted: packets enter the counters first, no counter is lost, and
//! interfaces are followed.
#![expect(clippy::disallowed_methods, reason = "edge: clock")]

use std::time::Instant;

use super::counting::NftablesBackend;
use super::host;
use super::listed::NftEntrance;
use super::model::layout::NftLayout;
use super::set::{NftLook, describe};
use crate::backend::{BackendError, Inspection};
use crate::ledger::reading::{Moment, Unseen};

impl NftablesBackend {
    /// Inspects everything once and repairs what is broken. Sets that were replaced are always returned, because nobody
    /// else knows of them.
    pub(super) fn look_around(&mut self, now: Moment) -> Result<Inspection, BackendError> {
        let begun_at = Instant::now();
        let mut inspection = Inspection::default();
        self.look_at_counters(now, begun_at, &mut inspection)?;
        match self.follow(now) {
            Ok(unseen) => inspection.unseen.extend(unseen),
            // Findings about the counters cannot be found a second time, so they are returned despite the error.
            Err(error) if !inspection.unseen.is_empty() || !inspection.retired.is_empty() => {
                tracing::error!(%error, "failed to inspect the interfaces; will retry");
            }
            Err(error) => return Err(error),
        }
        Ok(inspection)
    }

    fn look_at_counters(
        &mut self,
        now: Moment,
        begun_at: Instant,
        inspection: &mut Inspection,
    ) -> Result<(), BackendError> {
        let moved = self.devices.moved();
        let NftLook { verdict, entrance } = self.set.look()?;
        let was_reported = std::mem::take(&mut self.is_reported);
        let hidden = describe(&entrance);
        if let (Ok(_), Some(why)) = (&verdict, hidden)
            && !was_reported
        {
            inspection.unseen = self.unseen(self.well_at, now.after(begun_at.elapsed()), why);
            inspection.is_broken = true;
            self.is_reported = true;
            return Ok(());
        }
        let well_at = std::mem::replace(&mut self.well_at, now);
        let moved_before = std::mem::replace(&mut self.moved, moved);
        let why = match (verdict, &entrance) {
            (Ok(values), NftEntrance::Whole) => {
                self.set.last = values;
                return Ok(());
            }
            (Ok(_), NftEntrance::Changed(why)) => match self.set.enter() {
                Ok(()) => {
                    tracing::info!("packets reach the counters first again");
                    (*why).to_owned()
                }
                Err(error) => format!("{why}; {error}"),
            },
            (verdict, _) => {
                let why = match verdict {
                    Err(damage) => format!("somebody changed the counters: {damage}"),
                    Ok(_) => hidden.unwrap_or_default().to_owned(),
                };
                let found = host::values(&self.set.layout).unwrap_or_default();
                match self.replace_damaged(&found) {
                    Ok(retired) => {
                        inspection.retired.push(retired);
                        format!("{why}; {}", self.devices.at_most_since(moved_before))
                    }
                    Err(error) => format!("{why}; {error}"),
                }
            }
        };
        inspection.unseen = self.unseen(well_at, now.after(begun_at.elapsed()), &why);
        Ok(())
    }

    /// A gap on every counted interface.
    fn unseen(&self, start: Moment, end: Moment, why: &str) -> Vec<Unseen> {
        let interfaces = self.set.layout.interfaces.iter();
        interfaces.map(|name| Unseen { start, end, interface: name.clone(), why: why.to_owned() }).collect()
    }

    /// Follows the interfaces in the rules.
    fn follow(&mut self, now: Moment) -> Result<Vec<Unseen>, BackendError> {
        let set = &mut self.set;
        let before = set.layout.interfaces.clone();
        self.devices.follow(&before, now, |names| {
            let layout = NftLayout { interfaces: names.to_vec(), ..set.layout.clone() };
            set.change(layout, |transaction, layout| layout.enter(transaction))?;
            Ok(())
        })
    }
}
