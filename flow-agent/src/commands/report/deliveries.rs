//! PURE: what the mail ledger says of one month's letters.

use std::collections::HashMap;

use crate::ledger::month::Month;
use crate::ledger::record::MailState;
use crate::store::sent::History;

/// The last word on each letter of a month.
pub(super) struct DeliveryHistory {
    /// By user (`None`: the summary) and revision; whether a refusal is for good.
    last: HashMap<(Option<String>, u32), (MailState, bool)>,
    /// Lines of the ledger that cannot be read any more, as `file:line: why`.
    pub(super) damages: Vec<String>,
}

impl DeliveryHistory {
    pub(super) fn new(month: Month, history: &History) -> Self {
        let month = month.to_string();
        let lines = history.lines.iter().filter(|line| line.month == month);
        Self {
            last: lines.map(|line| ((line.user.clone(), line.rev), (line.state, line.permanent))).collect(),
            damages: history.damages.iter().map(ToString::to_string).collect(),
        }
    }

    /// The last word on a letter.
    pub(super) fn last(&self, user: Option<&str>, rev: u32) -> Option<MailState> {
        self.entry(user, rev).map(|(state, _)| state)
    }

    /// Whether the mail server took it, or may have.
    pub(super) fn was_delivered(&self, user: Option<&str>, rev: u32) -> bool {
        match self.last(user, rev) {
            Some(MailState::Sending | MailState::Sent | MailState::Unknown) => true,
            Some(MailState::Failed) | None => false,
        }
    }

    /// Whether there is nothing more to do about a letter, or only a person can do it.
    pub(super) fn is_settled(&self, user: Option<&str>, rev: u32) -> bool {
        match self.entry(user, rev) {
            Some((MailState::Sent | MailState::Unknown, _)) => true,
            Some((MailState::Failed, permanent)) => permanent,
            Some((MailState::Sending, _)) | None => false,
        }
    }

    /// Of the revisions before `rev`, the last that the user was told.
    pub(super) fn rev_delivered_before(&self, user: Option<&str>, rev: u32) -> Option<u32> {
        (0..rev).rev().find(|rev| self.was_delivered(user, *rev))
    }

    fn entry(&self, user: Option<&str>, rev: u32) -> Option<(MailState, bool)> {
        self.last.get(&(user.map(str::to_owned), rev)).copied()
    }
}
