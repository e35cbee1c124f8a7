//! Which notices there are, and which of them are to be sent now.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, NaiveDate, TimeDelta, Utc};

use super::notice::{Notice, NoticeEvent, NoticeFacts, NoticeLine, Subject};
use super::state::{Condition, UserMonth};
use crate::ledger::month::Month;
use crate::ledger::record::MailState;

/// How many days before the last one a user is told of it.
pub const DAYS_BEFORE_EXPIRY: u32 = 3;

/// For how many days after the last one a user is told that it has passed.
const DAYS_AFTER_EXPIRY: u32 = 7;

/// For how long a notice that did not arrive is tried again.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::hours(24);

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: TimeDelta = TimeDelta::minutes(1);

/// The longest pause between two attempts.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

/// The notices about users. Of several levels that were reached, only the highest is named.
pub fn of_users(users: &[UserMonth], warn: &[u32], today: NaiveDate) -> Vec<Notice> {
    users.iter().flat_map(|user| of_user(user, warn, today)).collect()
}

fn of_user(user: &UserMonth, warn: &[u32], today: NaiveDate) -> Vec<Notice> {
    let mut notices = Vec::new();
    let is_expired = matches!(user.condition, Condition::Expired { .. });
    // Who has expired is told of that, because a larger quota would change nothing.
    if let (Some(quota_bytes), Some(left_bytes), false) = (user.quota_bytes, user.left_bytes, is_expired) {
        let facts = NoticeFacts::Usage {
            used_bytes: user.used_bytes,
            quota_bytes,
            left_bytes,
            forecast_bytes: user.forecast_bytes,
            is_incomplete: user.is_incomplete,
            is_dropped: user.is_dropped_everywhere,
        };
        let mut add = |event, level| {
            let subject = Subject { quota_bytes: Some(quota_bytes), ..subject(user, user.month, event, level) };
            notices.push(Notice { subject, facts: facts.clone() });
        };
        // A node whose share is used up reports that itself.
        if user.is_dropped_everywhere {
            add(NoticeEvent::Cut, None);
        }
        if let Some(level) = user.level(warn) {
            add(NoticeEvent::Warn, Some(level));
        }
        if !user.is_dropped_everywhere
            && user.used_bytes < quota_bytes
            && user.forecast_bytes.is_some_and(|bytes| bytes > quota_bytes)
        {
            add(NoticeEvent::Forecast, None);
        }
    }
    if let Some(last_day) = user.expires {
        let days_left = (last_day - today).num_days();
        let level = match days_left {
            // Whoever expired long ago was told, or knows; a channel may be new.
            days if days < -i64::from(DAYS_AFTER_EXPIRY) => None,
            ..0 => Some(0),
            days if days <= i64::from(DAYS_BEFORE_EXPIRY) => Some(DAYS_BEFORE_EXPIRY),
            _ => None,
        };
        if let Some(level) = level {
            // Filed under the month of the last day, so that a notice that falls into two months is sent once.
            let subject = subject(user, Month::of(last_day), NoticeEvent::Expire, Some(level));
            notices.push(Notice {
                subject: Subject { day: Some(last_day), ..subject },
                facts: NoticeFacts::Expiry { last_day },
            });
        }
    }
    notices
}

fn subject(user: &UserMonth, month: Month, event: NoticeEvent, level: Option<u32>) -> Subject {
    Subject { month, user: Some(user.user.clone()), event, level, node: None, day: None, quota_bytes: None }
}

/// What became of past notices, by channel.
#[derive(Clone, Debug, Default)]
pub struct NoticeHistory {
    by_subject: BTreeMap<(String, Subject), Progress>,
}

/// What became of one notice over one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub state: MailState,
    pub attempts: u32,
    pub first_at: DateTime<FixedOffset>,
    pub last_at: DateTime<FixedOffset>,
}

/// Whether a notice that may have arrived already is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Better twice than not at all: the receiver can recognize the second one by its identifier.
    UntilAccepted,
    /// Better not at all than twice, as for all letters.
    UnlessRefused,
}

/// Which notices are sent over a channel, and when.
#[derive(Clone, Copy)]
pub struct NoticeChoice<'a> {
    pub channel: &'a str,
    pub takes: &'a dyn Fn(NoticeEvent) -> bool,
    pub repeat: Repeat,
    pub now: DateTime<Utc>,
    /// Failed notices are tried again without a pause.
    pub retry_now: bool,
}

impl NoticeHistory {
    /// The history in the lines of the ledger, in their order.
    pub fn new(lines: &[NoticeLine]) -> Self {
        let mut told = Self::default();
        lines.iter().for_each(|line| told.add(line));
        told
    }

    /// Adds a line.
    pub fn add(&mut self, line: &NoticeLine) {
        let key = (line.channel.clone(), line.subject.clone());
        let begun = Progress { state: line.state, attempts: 0, first_at: line.at, last_at: line.at };
        let progress = self.by_subject.entry(key).or_insert(begun);
        (progress.state, progress.last_at) = (line.state, line.at);
        if line.state == MailState::Sending {
            progress.attempts += 1;
        }
    }

    /// What became of a notice over a channel.
    pub fn progress(&self, channel: &str, subject: &Subject) -> Option<Progress> {
        self.by_subject.get(&(channel.to_owned(), subject.clone())).copied()
    }

    /// The notices of a channel that were being handed over when the program ended.
    pub fn interrupted(&self, channel: &str) -> Vec<Subject> {
        let of_channel = self.by_subject.iter().filter(|((name, _), _)| name == channel);
        of_channel.filter(|(_, progress)| progress.state == MailState::Sending).map(|((_, s), _)| s.clone()).collect()
    }

    /// Those of `notices` that are to be sent over the channel now.
    pub fn due<'n>(&self, notices: &'n [Notice], choice: &NoticeChoice<'_>) -> Vec<&'n Notice> {
        let is_cut = |notice: &Notice| {
            let of_user = |other: &&Notice| other.subject.user == notice.subject.user;
            (choice.takes)(NoticeEvent::Cut)
                && notices.iter().filter(of_user).any(|other| other.subject.event == NoticeEvent::Cut)
        };
        let is_due = |notice: &&Notice| {
            let event = notice.subject.event;
            // A user who is told of the cut need not be told as well that the quota is used up.
            let is_said_by_cut = event == NoticeEvent::Warn && is_cut(notice);
            (choice.takes)(event)
                && !is_said_by_cut
                && !self.has_said_more(choice.channel, &notice.subject)
                && self.is_due(notice, choice)
        };
        notices.iter().filter(is_due).collect()
    }

    /// Whether a higher level of the same quota, or of the gaps of the same day, was reported or may have been.
    fn has_said_more(&self, channel: &str, subject: &Subject) -> bool {
        let is_higher = |other: &Subject| {
            other.level > subject.level && Subject { level: subject.level, ..other.clone() } == *subject
        };
        matches!(subject.event, NoticeEvent::Warn | NoticeEvent::Gap)
            && self.by_subject.keys().any(|(name, other)| name == channel && is_higher(other))
    }

    fn is_due(&self, notice: &Notice, choice: &NoticeChoice<'_>) -> bool {
        let Some(progress) = self.progress(choice.channel, &notice.subject) else { return true };
        match (progress.state, choice.repeat) {
            (MailState::Sent, _) => return false,
            (MailState::Sending | MailState::Unknown, Repeat::UnlessRefused) => return false,
            (MailState::Sending | MailState::Unknown, Repeat::UntilAccepted) | (MailState::Failed, _) => {}
        }
        let is_given_up = choice.now - progress.first_at.to_utc() > GIVE_UP_AFTER;
        // After an attempt while the clock was ahead, nobody waits for that time.
        let was_ahead = progress.last_at.to_utc() > choice.now;
        choice.retry_now || !is_given_up && (was_ahead || progress.next_attempt() <= choice.now)
    }
}

impl Progress {
    /// When a failed notice is tried again.
    fn next_attempt(&self) -> DateTime<Utc> {
        let doublings = self.attempts.saturating_sub(1).min(6);
        let pause = (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE);
        // A few seconds less, so that a timer with the same interval does not come a moment too early each time.
        self.last_at.to_utc() + pause - TimeDelta::seconds(5)
    }
}

#[cfg(test)]
mod tests;
