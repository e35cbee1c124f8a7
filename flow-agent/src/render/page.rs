//! `report.html`: the month on one page.

use serde::Serialize;

use super::{Language, TemplateError, Templates, dates};
use crate::ledger::statement::MonthlyReport;

#[derive(Debug, Serialize)]
struct View {
    language: &'static str,
    period: String,
}

/// Writes the page.
///
/// # Errors
/// When a template of the operator does not fit what is filled in.
pub fn page(templates: &Templates, report: &MonthlyReport, language: Language) -> Result<String, TemplateError> {
    let view = View { language: language.code(), period: dates::period(language, report.first_day, report.last_day) };
    templates.fill("page.html", language, &view)
}
