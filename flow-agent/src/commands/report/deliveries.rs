//! PURE: the delivery history of one month's letters, from the mail ledger.

use std::collections::HashMap;

use crate::ledger::month::Month;
use crate::ledger::record::MailState;
use crate::store::sent::History;

/// The last recorded state of each letter of a month.
pub(super) struct DeliveryHistory {
    /// By user (`None` for the summary) and revision; the flag says whether a refusal is permanent.
    last: HashMap<(Option<String>, u32), (MailState, bool)>,
    /// The `Message-ID` that the letter had, by user and revision. It is recorded because it cannot be made again once
    /// the sender's address or the name of this node has changed.
    message_ids: HashMap<(Option<String>, u32), String>,
    /// Damaged lines of the ledger, as `file:line: why`.
    pub(super) damages: Vec<String>,
}

impl DeliveryHistory {
    pub(super) fn new(month: Month, history: &History) -> Self {
        let month = month.to_string();
        let lines = || history.lines.iter().filter(|line| line.month == month);
        Self {
            message_ids: lines().map(|line| ((line.user.clone(), line.rev), line.message_id.clone())).collect(),
            last: lines().map(|line| ((line.user.clone(), line.rev), (line.state, line.permanent))).collect(),
            damages: history.damages.iter().map(ToString::to_string).collect(),
        }
    }

    /// The last recorded state of a letter.
    pub(super) fn last(&self, user: Option<&str>, rev: u32) -> Option<MailState> {
        self.entry(user, rev).map(|(state, _)| state)
    }

    /// Whether the mail server accepted the letter, or may have.
    pub(super) fn was_delivered(&self, user: Option<&str>, rev: u32) -> bool {
        match self.last(user, rev) {
            Some(MailState::Sending | MailState::Sent | MailState::Unknown) => true,
            Some(MailState::Failed) | None => false,
        }
    }

    /// Whether nothing more can be done about a letter unless a person intervenes.
    pub(super) fn is_settled(&self, user: Option<&str>, rev: u32) -> bool {
        match self.entry(user, rev) {
            Some((MailState::Sent | MailState::Unknown, _)) => true,
            Some((MailState::Failed, permanent)) => permanent,
            Some((MailState::Sending, _)) | None => false,
        }
    }

    /// How many letters of the month were delivered, or may have been.
    pub(super) fn delivered(&self) -> usize {
        self.last.keys().filter(|(user, rev)| self.was_delivered(user.as_deref(), *rev)).count()
    }

    /// The last revision before `rev` that was delivered to the user.
    pub(super) fn rev_delivered_before(&self, user: Option<&str>, rev: u32) -> Option<u32> {
        (0..rev).rev().find(|rev| self.was_delivered(user, *rev))
    }

    /// The `Message-ID` of the first letter that was delivered to the user before revision `rev`.
    pub(super) fn first_message_id(&self, user: Option<&str>, rev: u32) -> Option<&str> {
        let first = (0..rev).find(|rev| self.was_delivered(user, *rev))?;
        self.message_ids.get(&(user.map(str::to_owned), first)).map(String::as_str)
    }

    fn entry(&self, user: Option<&str>, rev: u32) -> Option<(MailState, bool)> {
        self.last.get(&(user.map(str::to_owned), rev)).copied()
    }
}
