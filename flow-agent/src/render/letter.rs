//! The letter to a user: first the total, then its parts, then the gaps in it.

use super::view::view;
use super::{TemplateError, Templates};
use crate::ledger::language::Language;
use crate::ledger::statement::{Finality, MonthlyReport, Statement};

/// A rendered letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterText {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Renders the letter to one user. `last_rev` is the revision that the last letter to this user reported, if there was
/// one.
///
/// # Errors
/// If a template that the operator changed does not fit these values.
pub fn statement(
    templates: &Templates,
    report: &MonthlyReport,
    statement: &Statement,
    last_rev: Option<u32>,
    language: Language,
) -> Result<LetterText, TemplateError> {
    let prior = last_rev.and_then(|rev| statement.history.iter().find(|prior| prior.rev == rev));
    let state = report.state_of(statement);
    // A letter about a month in progress is not corrected but superseded.
    let corrected = prior.filter(|prior| prior.state != Finality::InProgress && state != Finality::InProgress);
    let words = templates.words(language);
    let view = view(report, statement, corrected, language, words);
    let key = match (state, corrected) {
        (Finality::InProgress, _) => "subject_in_progress",
        (Finality::Provisional | Finality::Final, Some(_)) => "subject_correction",
        (Finality::Provisional, None) => "subject_provisional",
        (Finality::Final, None) => "subject",
    };
    let money = view.money.as_ref().map(|money| words.say("comma", &[]) + money).unwrap_or_default();
    let values = [
        ("period", view.period.clone()),
        ("user", view.user.clone()),
        ("billed", view.billed.human.clone()),
        ("money", money),
    ];
    Ok(LetterText {
        subject: words.say(key, &values),
        text: templates.fill("letter.txt", language, &view)?,
        html: templates.fill("letter.html", language, &view)?,
    })
}
