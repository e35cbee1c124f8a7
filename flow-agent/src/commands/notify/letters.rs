//! Renders a notice as text, as a message for a webhook, and as a letter.

use chrono::{DateTime, Utc};

use crate::config::Config;
use crate::exit::Failure;
use crate::ledger::calendar;
use crate::ledger::language::Language;
use crate::ledger::limits::notice::{Notice, NoticeFacts};
use crate::ledger::record::stamp;
use crate::ledger::seal::sha256_hex;
use crate::mail::{Header, Letter, LetterContent, compose};
use crate::notify::Message;
use crate::render::Templates;
use crate::render::letter::LetterText;
use crate::render::notice;

/// The text of a notice in a language.
pub(super) fn text(
    config: &Config,
    templates: &Templates,
    notice: &Notice,
    language: Language,
    now: DateTime<Utc>,
) -> Result<LetterText, Failure> {
    let at = calendar::local(config.timezone, now);
    let sender = notice::NoticeSender { node: &config.node, at, month_start_day: config.month_start_day };
    Ok(notice::notice(templates, notice, sender, language)?)
}

/// An identifier that stays the same for the same notice from the same machine, so that receivers and mail systems
/// recognize a duplicate.
fn id(config: &Config, notice: &Notice) -> String {
    let subject = serde_json::to_string(&notice.subject).expect("a subject has only text and integers");
    sha256_hex(format!("{}\0{subject}", config.node).as_bytes())[..24].to_owned()
}

/// The message for a webhook.
pub(super) fn message(config: &Config, notice: &Notice, text: LetterText, now: DateTime<Utc>) -> Message {
    let subject = &notice.subject;
    let (used_bytes, left_bytes, forecast_bytes) = match notice.facts {
        NoticeFacts::Usage { used_bytes, left_bytes, forecast_bytes, .. } => {
            (Some(used_bytes), Some(left_bytes), forecast_bytes)
        }
        NoticeFacts::Expiry { .. }
        | NoticeFacts::Gap { .. }
        | NoticeFacts::Node { .. }
        | NoticeFacts::Disk { .. }
        | NoticeFacts::Ship { .. } => (None, None, None),
    };
    Message {
        id: id(config, notice),
        event: subject.event.name(),
        level: subject.level,
        month: subject.month.to_string(),
        user: subject.user.clone(),
        node: subject.node.clone(),
        day: subject.day.map(|day| day.to_string()),
        quota_bytes: subject.quota_bytes,
        used_bytes,
        left_bytes,
        forecast_bytes,
        title: text.subject,
        text: text.text,
        sent_by: config.node.clone(),
        at: stamp::show(calendar::local(config.timezone, now)).to_string(),
    }
}

/// The letter for the mail server.
pub(super) fn letter(
    config: &Config,
    notice: &Notice,
    from: &str,
    to: &[String],
    language: Language,
    text: LetterText,
    now: DateTime<Utc>,
) -> Result<Letter, Failure> {
    let domain = from.rsplit('@').next().unwrap_or_default().trim_end_matches('>').trim();
    let whose = &sha256_hex(to.join(",").as_bytes())[..8];
    let header = Header {
        from,
        reply_to_id: None,
        to,
        message_id: &format!("<flow-agent.notice.{}.{whose}@{domain}>", id(config, notice)),
        language: Some(language.tag()),
        at: calendar::local(config.timezone, now),
    };
    let content = LetterContent { subject: text.subject, text: text.text, html: text.html, attachments: Vec::new() };
    Ok(compose(&header, &content)?)
}
