//! A notice: a title, one sentence about what it means, and the figures.

use chrono::{DateTime, FixedOffset};
use serde::Serialize;

use super::letter::LetterText;
use super::words::Words;
use super::{TemplateError, Templates, dates, numbers, view};
use crate::ledger::language::Language;
use crate::ledger::limits::notice::{Notice, NoticeEvent, NoticeFacts, Subject};
use crate::ledger::month::Month;
use crate::ledger::units::Human;

/// From where and when a notice is sent.
#[derive(Clone, Copy, Debug)]
pub struct NoticeSender<'a> {
    /// The node on which it was evaluated.
    pub node: &'a str,
    pub at: DateTime<FixedOffset>,
    pub month_start_day: u32,
}

/// The values for the templates.
#[derive(Clone, Debug, Serialize)]
struct View {
    language: &'static str,
    title: String,
    sentence: String,
    facts: Vec<Fact>,
    bar: Option<Bar>,
    is_urgent: bool,
    footer: String,
}

#[derive(Clone, Debug, Serialize)]
struct Fact {
    label: String,
    value: String,
}

/// The used part of the quota, 0 to 100.
#[derive(Clone, Copy, Debug, Serialize)]
struct Bar {
    percent: u64,
    is_over: bool,
}

/// Renders a notice as a letter, and as a plain text of a few lines for messengers.
///
/// # Errors
/// If a template that the operator changed does not fit these values.
pub fn notice(
    templates: &Templates,
    notice: &Notice,
    sender: NoticeSender<'_>,
    language: Language,
) -> Result<LetterText, TemplateError> {
    let words = templates.words(language);
    let view = view(notice, sender, language, words);
    Ok(LetterText {
        subject: view.title.clone(),
        text: templates.fill("notice.txt", language, &view)?,
        html: templates.fill("notice.html", language, &view)?,
    })
}

fn view(notice: &Notice, sender: NoticeSender<'_>, language: Language, words: &Words) -> View {
    let at = sender.at.format("%Y-%m-%d %H:%M %:z").to_string();
    let values = values(notice, sender, language);
    View {
        language: language.tag(),
        title: words.say(&format!("{}_title", key(notice)), &values),
        sentence: words.say(&format!("{}_text", key(notice)), &values),
        facts: facts(notice, sender, language, words),
        bar: bar(notice),
        is_urgent: matches!(
            notice.subject.event,
            NoticeEvent::Cut | NoticeEvent::Expire | NoticeEvent::Node | NoticeEvent::Disk
        ),
        footer: words.say("notice_footer", &[("node", sender.node.to_owned()), ("at", at)]),
    }
}

/// The prefix of the words of a notice.
fn key(notice: &Notice) -> &'static str {
    match (notice.subject.event, notice.subject.level) {
        // A channel may take warnings and no cuts.
        (NoticeEvent::Warn, Some(100..)) if matches!(notice.facts, NoticeFacts::Usage { is_dropped: true, .. }) => {
            "notice_cut"
        }
        (NoticeEvent::Warn, Some(100..)) => "notice_full",
        (NoticeEvent::Warn, _) => "notice_warn",
        (NoticeEvent::Forecast, _) => "notice_forecast",
        (NoticeEvent::Cut, _) => "notice_cut",
        (NoticeEvent::Expire, Some(0)) => "notice_expired",
        (NoticeEvent::Expire, _) => "notice_expires",
        (NoticeEvent::Gap, _) => "notice_gap",
        (NoticeEvent::Node, _) => "notice_node",
        (NoticeEvent::Disk, _) => "notice_disk",
        (NoticeEvent::Ship, _) => "notice_ship",
    }
}

/// The values of the placeholders in the words.
fn values(notice: &Notice, sender: NoticeSender<'_>, language: Language) -> Vec<(&'static str, String)> {
    let subject = &notice.subject;
    let mut values = vec![
        ("user", subject.user.clone().unwrap_or_default()),
        ("node", subject.node.clone().unwrap_or_default()),
        ("period", period(notice, sender, language)),
        ("percent", subject.level.map(|level| format!("{level} %")).unwrap_or_default()),
        ("date", subject.day.map(|day| dates::full(language, day)).unwrap_or_default()),
    ];
    if let NoticeFacts::Disk { free_bytes, .. } = notice.facts {
        values.push(("free", Human(free_bytes.into()).to_string()));
    }
    values
}

fn period(notice: &Notice, sender: NoticeSender<'_>, language: Language) -> String {
    let (month, day) = (notice.subject.month, sender.month_start_day);
    dates::period(language, month.first_day(day), month.last_day(day))
}

fn facts(notice: &Notice, sender: NoticeSender<'_>, language: Language, words: &Words) -> Vec<Fact> {
    let fact = |key: &str, value: String| Fact { label: words.say(key, &[]), value };
    match &notice.facts {
        NoticeFacts::Usage { used_bytes, quota_bytes, left_bytes, forecast_bytes, is_incomplete, .. } => {
            let human = |bytes: u64| Human(bytes.into()).to_string();
            let at_least = if *is_incomplete { words.say("notice_at_least", &[]) } else { String::new() };
            let used = format!("{at_least}{} ({})", human(*used_bytes), numbers::percent(*used_bytes, *quota_bytes, 1));
            let mut facts = vec![
                fact("notice_user", notice.subject.user.clone().unwrap_or_default()),
                fact("notice_month", period(notice, sender, language)),
                fact("quota", view::quota_in_words(*quota_bytes)),
                fact("notice_used", used),
                fact("notice_left", human(*left_bytes)),
            ];
            if let Some(bytes) = forecast_bytes {
                facts.push(fact("notice_forecast", human(*bytes)));
            }
            facts
        }
        NoticeFacts::Expiry { last_day } => vec![
            fact("notice_user", notice.subject.user.clone().unwrap_or_default()),
            fact("notice_last_day", dates::full(language, *last_day)),
        ],
        NoticeFacts::Gap { seconds, why } => {
            vec![fact("notice_gap_time", numbers::duration(language, *seconds)), fact("notice_why", why.clone())]
        }
        NoticeFacts::Ship { newest } => vec![fact("notice_shipped", time(*newest, words))],
        NoticeFacts::Node { newest, why } => {
            let newest = time(*newest, words);
            let why = why.iter().map(|why| fact("notice_why", why.clone()));
            [fact("notice_newest", newest)].into_iter().chain(why).collect()
        }
        NoticeFacts::Disk { free_bytes, size_bytes } => vec![fact(
            "notice_free",
            format!("{} ({})", Human((*free_bytes).into()), numbers::percent(*free_bytes, *size_bytes, 1)),
        )],
    }
}

/// The time of the newest news, or the word for never.
fn time(at: Option<DateTime<FixedOffset>>, words: &Words) -> String {
    at.map_or_else(|| words.say("notice_never", &[]), |at| at.format("%Y-%m-%d %H:%M %:z").to_string())
}

fn bar(notice: &Notice) -> Option<Bar> {
    let NoticeFacts::Usage { used_bytes, quota_bytes, .. } = notice.facts else { return None };
    Some(Bar { percent: view::share(used_bytes, quota_bytes).min(100), is_over: used_bytes >= quota_bytes })
}

/// Renders a notice of every kind.
///
/// # Errors
/// If one of the templates uses a value that does not exist.
pub(super) fn try_out(templates: &Templates, language: Language) -> Result<(), TemplateError> {
    let at = DateTime::UNIX_EPOCH.fixed_offset();
    let sender = NoticeSender { node: "node", at, month_start_day: 1 };
    of_every_kind("user").iter().try_for_each(|one| notice(templates, one, sender, language).map(drop))
}

/// One notice of every kind, about a user with this name, for trying templates out.
pub(super) fn of_every_kind(user: &str) -> Vec<Notice> {
    let month = Month::new(2026, 10).expect("it is a month");
    let day = month.last_day(1);
    let of_user = |event, level| Subject {
        month,
        user: Some(user.to_owned()),
        event,
        level,
        node: None,
        day: (event == NoticeEvent::Expire).then_some(day),
        quota_bytes: Some(500 << 30),
    };
    let of_node = |event| Subject {
        month,
        user: None,
        event,
        level: None,
        node: Some("us-1".to_owned()),
        day: Some(day),
        quota_bytes: None,
    };
    let usage = |used_gib: u64, forecast_bytes| NoticeFacts::Usage {
        used_bytes: used_gib << 30,
        quota_bytes: 500 << 30,
        left_bytes: 500_u64.saturating_sub(used_gib) << 30,
        forecast_bytes,
        is_incomplete: used_gib > 500,
        is_dropped: used_gib == 500,
    };
    let newest = DateTime::parse_from_rfc3339("2026-10-19T12:00:00+08:00").ok();
    [
        (of_user(NoticeEvent::Warn, Some(90)), usage(455, Some(700 << 30))),
        (of_user(NoticeEvent::Warn, Some(100)), usage(501, None)),
        (of_user(NoticeEvent::Forecast, None), usage(300, Some(700 << 30))),
        (of_user(NoticeEvent::Cut, None), usage(500, None)),
        (of_user(NoticeEvent::Expire, Some(3)), NoticeFacts::Expiry { last_day: day }),
        (of_user(NoticeEvent::Expire, Some(0)), NoticeFacts::Expiry { last_day: day }),
        (of_node(NoticeEvent::Gap), NoticeFacts::Gap { seconds: 3_725, why: "the host was down".to_owned() }),
        (of_node(NoticeEvent::Node), NoticeFacts::Node { newest, why: Some("connection refused".to_owned()) }),
        (of_node(NoticeEvent::Disk), NoticeFacts::Disk { free_bytes: 50 << 20, size_bytes: 10 << 30 }),
        (of_node(NoticeEvent::Ship), NoticeFacts::Ship { newest }),
    ]
    .into_iter()
    .map(|(subject, facts)| Notice { subject, facts })
    .collect()
}

#[cfg(test)]
mod tests;
