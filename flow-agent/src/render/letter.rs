//! The letter to a user: the figure first, then where it comes from, then what is not known.

use super::view::view;
use super::{TemplateError, Templates};
use crate::ledger::language::Language;
use crate::ledger::statement::{MonthlyReport, State, Statement};

/// A letter, laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterText {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Writes the letter of one user. `told` is the revision of which this user had a letter last, if any.
///
/// # Errors
/// When a template of the operator does not fit what is filled in.
pub fn statement(
    templates: &Templates,
    report: &MonthlyReport,
    statement: &Statement,
    told: Option<u32>,
    language: Language,
) -> Result<LetterText, TemplateError> {
    let said = told.and_then(|rev| statement.history.iter().find(|said| said.rev == rev));
    let state = report.state_of(statement);
    // Figures of a month that was not over are no mistake to be corrected.
    let corrected = said.filter(|said| said.state != State::InProgress && state != State::InProgress);
    let words = templates.words(language);
    let view = view(report, statement, corrected, language, words);
    let key = match (state, corrected) {
        (State::InProgress, _) => "subject_in_progress",
        (State::Provisional | State::Final, Some(_)) => "subject_correction",
        (State::Provisional, None) => "subject_provisional",
        (State::Final, None) => "subject",
    };
    let values = [("period", view.period.clone()), ("user", view.user.clone()), ("billed", view.billed.human.clone())];
    Ok(LetterText {
        subject: words.say(key, &values),
        text: templates.fill("letter.txt", language, &view)?,
        html: templates.fill("letter.html", language, &view)?,
    })
}
