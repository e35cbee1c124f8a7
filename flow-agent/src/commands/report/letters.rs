//! The letters of a report, and which of them are due.

use super::deliveries::DeliveryHistory;
use super::{Job, withholds};
use crate::config::Config;
use crate::errors::nearest;
use crate::exit::{Code, Failure};
use crate::ledger::language::Language;
use crate::ledger::record::MailState;
use crate::ledger::statement::{Finality, MonthlyReport, Statement};
use crate::ledger::user::User;
use crate::mail::{Header, Letter, LetterAttachment, LetterContent, compose, message_id};
use crate::render::letter::LetterText;
use crate::render::{Templates, letter, page, summary};

/// The name that stands for the summary where a user is named.
pub(super) const ADMINS: &str = "@admins";

/// The sender of letters that are only written to disk, because no mail server is configured.
const FROM_NOBODY: &str = "flow-agent@localhost";

/// At most this much of a user's name is in the file name of a letter.
const MAX_NAME_BYTES: usize = 100;

/// A letter of a report.
pub(super) struct Addressed {
    /// `None` for the summary.
    pub(super) user: Option<String>,
    pub(super) rev: u32,
    /// How final its figures are.
    pub(super) state: Finality,
    pub(super) file: String,
    pub(super) letter: Letter,
}

impl Addressed {
    /// The name of the recipient, or [`ADMINS`].
    pub(super) fn name(&self) -> &str {
        self.user.as_deref().unwrap_or(ADMINS)
    }
}

/// All parts of a report that people read.
pub(super) struct Letters {
    /// The letters to users first, then the summary.
    pub(super) all: Vec<Addressed>,
    pub(super) page: String,
}

impl Letters {
    /// Renders all of them.
    pub(super) fn of(
        job: &Job,
        templates: &Templates,
        report: &MonthlyReport,
        deliveries: &DeliveryHistory,
    ) -> Result<Self, Failure> {
        let mut all = Vec::new();
        for (number, statement) in (1..).zip(&report.statements) {
            let Some(user) = &statement.user else { continue };
            let Some((address, language)) = address(&job.config, user) else { continue };
            let last_rev = deliveries.rev_delivered_before(Some(user), statement.rev);
            let text = letter::statement(templates, report, statement, last_rev, language)?;
            all.push(Addressed {
                user: Some(user.clone()),
                rev: statement.rev,
                state: report.state_of(statement),
                file: file_name(number, user),
                letter: compose_letter(job, report, statement, deliveries, address, language, text)?,
            });
        }
        let admins = job.config.mail.as_ref().map(|mail| mail.admins.clone()).unwrap_or_default();
        if !admins.is_empty() {
            let text = summary::summary(templates, report, Language::English)?;
            let csv = LetterAttachment {
                name: summary::csv_name(report),
                media_type: "text/csv",
                text: summary::csv(report),
            };
            let header = Header {
                from: from(&job.config),
                to: &admins,
                message_id: &message_id(&job.config.node, from(&job.config), report.month, None, report.rev),
                reply_to_id: deliveries.first_message_id(None, report.rev),
                language: Some(Language::English.tag()),
                at: report.made_at,
            };
            let content = LetterContent { attachments: vec![csv], ..content(text) };
            let letter = compose(&header, &content)?;
            let file = "summary.eml".to_owned();
            all.push(Addressed { user: None, rev: report.rev, state: report.state, file, letter });
        }
        Ok(Self { all, page: page::page(templates, report, Language::English)? })
    }

    /// Checks that every letter named by `--resend` exists.
    ///
    /// # Errors
    /// Exit code 2 for a name without a letter. It is probably a typing error, so no letter is sent at all.
    pub(super) fn check_resend_names(&self, job: &Job) -> Result<(), Failure> {
        let known: Vec<&str> = self.all.iter().map(|letter| letter.user.as_deref().unwrap_or(ADMINS)).collect();
        match job.resend.iter().find(|wanted| !known.contains(&wanted.as_str())) {
            None => Ok(()),
            Some(wanted) => {
                let error = anyhow::anyhow!("`{wanted}` has no letter for {} that could be sent again", job.month);
                let help = match nearest(wanted, known.iter().copied()) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("users with one: {}", known.join(", ")),
                };
                Err(Failure::new(Code::Usage, error).help(help))
            }
        }
    }

    /// The file name and content of each letter.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &Letter)> {
        self.all.iter().map(|addressed| (addressed.file.as_str(), &addressed.letter))
    }

    /// The letters to be handed over now.
    pub(super) fn due(&self, job: &Job, report: &MonthlyReport, deliveries: &DeliveryHistory) -> Vec<&Addressed> {
        self.all.iter().filter(|letter| is_due(job, report, deliveries, letter)).collect()
    }
}

pub(super) fn is_due(job: &Job, report: &MonthlyReport, deliveries: &DeliveryHistory, letter: &Addressed) -> bool {
    let user = letter.user.as_deref();
    if job.resend.iter().any(|wanted| wanted == letter.name()) {
        return true;
    }
    if user.is_some() && withholds(job, report, letter.state) {
        return false;
    }
    match deliveries.last(user, letter.rev) {
        // A damaged ledger may have recorded this letter. Sending none is better than sending it twice.
        None => deliveries.damages.is_empty(),
        Some(MailState::Failed) => job.is_asked_for || !deliveries.is_settled(user, letter.rev),
        Some(MailState::Sending | MailState::Sent | MailState::Unknown) => false,
    }
}

/// The address and language of a user's letters.
pub(in crate::commands) fn address<'a>(config: &'a Config, user: &str) -> Option<(&'a String, Language)> {
    let user: &User = config.users.iter().find(|candidate| candidate.name == user)?;
    Some((user.email.as_ref()?, user.language))
}

fn compose_letter(
    job: &Job,
    report: &MonthlyReport,
    statement: &Statement,
    deliveries: &DeliveryHistory,
    address: &str,
    language: Language,
    text: LetterText,
) -> Result<Letter, Failure> {
    let user = statement.user.as_deref();
    let header = Header {
        from: from(&job.config),
        to: &[address.to_owned()],
        message_id: &message_id(&job.config.node, from(&job.config), report.month, user, statement.rev),
        reply_to_id: deliveries.first_message_id(user, statement.rev),
        language: Some(language.tag()),
        at: report.made_at,
    };
    Ok(compose(&header, &content(text))?)
}

fn content(text: LetterText) -> LetterContent {
    LetterContent { subject: text.subject, text: text.text, html: text.html, attachments: Vec::new() }
}

fn from(config: &Config) -> &str {
    config.mail.as_ref().map_or(FROM_NOBODY, |mail| &mail.from)
}

/// `0007-alice.eml`: the number of the statement, which makes the name unique, and the part of the user's name that is
/// safe in a file name.
fn file_name(number: usize, user: &str) -> String {
    let is_safe = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | '@');
    let mut safe = String::new();
    for part in user.split(|character| !is_safe(character)).map(|part| part.trim_matches(['-', '.'])) {
        if !part.is_empty() && !safe.is_empty() {
            safe.push('-');
        }
        for character in part.chars() {
            if safe.len() + character.len_utf8() > MAX_NAME_BYTES {
                break;
            }
            safe.push(character);
        }
    }
    if safe.is_empty() { format!("{number:04}.eml") } else { format!("{number:04}-{safe}.eml") }
}

#[cfg(test)]
mod tests;
