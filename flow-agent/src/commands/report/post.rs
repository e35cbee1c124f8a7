//! Hands letters to the mail server, and writes to the mail ledger before and after each.

use std::time::Duration;

use chrono_tz::Tz;
use tokio::time::sleep;

use super::deliveries::DeliveryHistory;
use super::letters::Addressed;
use crate::clock;
use crate::ledger::calendar;
use crate::ledger::month::Month;
use crate::ledger::record::{Kind, MailLine, MailState, VERSION};
use crate::mail::{Delivery, Mailer, Refusal, Scope};
use crate::store::StoreError;
use crate::store::sent::Sent;

/// How long to wait before a temporarily refused letter is tried again.
pub(super) const DELAYS: &[Duration] =
    &[Duration::from_secs(2), Duration::from_secs(8), Duration::from_secs(30), Duration::from_secs(60)];

/// The outcome of mailing the letters of this run.
#[derive(Debug, Default)]
pub(super) struct Posted {
    pub(super) sent: u64,
    /// Refusals that affect all letters, each once, with the number of letters that were not sent because of it.
    pub(super) refused_to_all: Vec<(Refusal, u64)>,
    /// The user (`None` for the summary) and the reason.
    pub(super) failed: Vec<(Option<String>, String)>,
    /// Recipients of letters that were sent to others only, and why.
    pub(super) left_out: Vec<(Option<String>, String)>,
    pub(super) unknown: Vec<(Option<String>, String)>,
    /// The ledger is damaged, so letters are held back.
    pub(super) held_back: bool,
}

impl Posted {
    /// Whether a person should look at it.
    pub(super) fn has_failed(&self) -> bool {
        let has_reached_all = self.failed.is_empty() && self.left_out.is_empty() && self.unknown.is_empty();
        !self.refused_to_all.is_empty() || !has_reached_all || self.held_back
    }
}

/// Mails the letters of a month and records that in the ledger.
pub(super) struct Post<'s> {
    pub(super) month: Month,
    pub(super) zone: Tz,
    pub(super) sent: &'s mut Sent,
}

/// The outcome of one attempt to send one letter.
enum Attempt {
    Done,
    Later(Refusal),
    Refused(Refusal),
}

impl Post<'_> {
    /// Writes `unknown` for the letters of `all` that are not `due` and were being sent when an earlier run was killed.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) fn settle(
        &mut self,
        all: &[Addressed],
        due: &[&Addressed],
        deliveries: &DeliveryHistory,
    ) -> Result<Posted, StoreError> {
        let mut posted = Posted { held_back: !deliveries.damages.is_empty(), ..Posted::default() };
        let is_due = |letter: &Addressed| due.iter().any(|due| std::ptr::eq(*due, letter));
        let was_sending =
            |letter: &Addressed| deliveries.last(letter.user.as_deref(), letter.rev) == Some(MailState::Sending);
        for letter in all.iter().filter(|letter| was_sending(letter) && !is_due(letter)) {
            let why = "the previous run ended while it was being sent".to_owned();
            self.write(letter, MailState::Unknown, Some(why.clone()), false)?;
            posted.unknown.push((letter.user.clone(), why));
        }
        Ok(posted)
    }

    /// Hands over the letters that are `due`, and adds the outcome to `posted`.
    ///
    /// # Errors
    /// If the ledger cannot be written; no more letters are handed over then.
    pub(super) async fn post(
        &mut self,
        mailer: &mut impl Mailer,
        due: Vec<&Addressed>,
        delays: &[Duration],
        mut posted: Posted,
    ) -> Result<Posted, StoreError> {
        let mut waiting = due;
        let mut delays = delays.iter();
        let mut refusals: Vec<Refusal> = Vec::new();
        while !waiting.is_empty() {
            refusals.clear();
            let mut later = Vec::new();
            let mut rest = waiting.into_iter();
            while let Some(letter) = rest.next() {
                match self.attempt(mailer, letter, &mut posted).await? {
                    Attempt::Done => {}
                    Attempt::Later(refusal) => {
                        let is_about_all = refusal.scope == Scope::Server;
                        later.push(letter);
                        refusals.push(refusal.clone());
                        if is_about_all {
                            for letter in rest.by_ref() {
                                later.push(letter);
                                refusals.push(refusal.clone());
                            }
                        }
                    }
                    Attempt::Refused(refusal) => {
                        let is_about_all = refusal.scope == Scope::Server;
                        self.fail(letter, &refusal, &mut posted)?;
                        if is_about_all {
                            for letter in rest.by_ref().chain(std::mem::take(&mut later)) {
                                self.fail(letter, &refusal, &mut posted)?;
                            }
                        }
                    }
                }
            }
            waiting = later;
            match delays.next() {
                Some(delay) if !waiting.is_empty() => {
                    // A temporary refusal may be tied to the connection, so the next attempt opens a new one.
                    mailer.leave().await;
                    sleep(*delay).await;
                }
                Some(_) => {}
                None => break,
            }
        }
        for (letter, refusal) in waiting.into_iter().zip(&refusals) {
            self.fail(letter, refusal, &mut posted)?;
        }
        mailer.leave().await;
        Ok(posted)
    }

    async fn attempt(
        &mut self,
        mailer: &mut impl Mailer,
        letter: &Addressed,
        posted: &mut Posted,
    ) -> Result<Attempt, StoreError> {
        if let Err(refusal) = mailer.offer(&letter.letter).await {
            return Ok(Self::refused(refusal));
        }
        // From here on the server may accept the letter without our learning of it. This line tells the next run.
        if let Err(error) = self.write(letter, MailState::Sending, None, false) {
            mailer.leave().await;
            return Err(error);
        }
        match mailer.deliver(&letter.letter).await {
            Delivery::Accepted { reply, left_out } => {
                self.write(letter, MailState::Sent, Some(reply), false)?;
                posted.sent += 1;
                posted.left_out.extend(left_out.into_iter().map(|refused| (letter.user.clone(), refused)));
                Ok(Attempt::Done)
            }
            Delivery::Unknown { why } => {
                self.write(letter, MailState::Unknown, Some(why.clone()), false)?;
                posted.unknown.push((letter.user.clone(), why));
                Ok(Attempt::Done)
            }
            Delivery::Refused(refusal) => {
                // The letter was certainly not accepted, so the ledger must not say `sending` while it waits.
                self.write(letter, MailState::Failed, Some(refusal.reply.clone()), false)?;
                Ok(Self::refused(refusal))
            }
        }
    }

    fn refused(refusal: Refusal) -> Attempt {
        if refusal.is_transient { Attempt::Later(refusal) } else { Attempt::Refused(refusal) }
    }

    fn fail(&mut self, letter: &Addressed, refusal: &Refusal, posted: &mut Posted) -> Result<(), StoreError> {
        let permanent = refusal.scope == Scope::Letter && !refusal.is_transient;
        self.write(letter, MailState::Failed, Some(refusal.reply.clone()), permanent)?;
        match refusal.scope {
            Scope::Letter => posted.failed.push((letter.user.clone(), refusal.reply.clone())),
            Scope::Server => match posted.refused_to_all.iter_mut().find(|(known, _)| known == refusal) {
                Some((_, letters)) => *letters += 1,
                None => posted.refused_to_all.push((refusal.clone(), 1)),
            },
        }
        Ok(())
    }

    fn write(
        &mut self,
        letter: &Addressed,
        state: MailState,
        reply: Option<String>,
        permanent: bool,
    ) -> Result<(), StoreError> {
        self.sent.append(&MailLine {
            v: VERSION,
            kind: Kind::Mail,
            at: calendar::local(self.zone, clock::now().wall),
            month: self.month.to_string(),
            user: letter.user.clone(),
            rev: letter.rev,
            message_id: letter.letter.message_id.clone(),
            state,
            reply,
            permanent,
        })
    }
}
