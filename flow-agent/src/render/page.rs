//! `report.html`: the month on one self-contained page.

use serde::Serialize;

use super::chart::{Bar, Shape};
use super::summary::{self, view};
use super::view::partial_days;
use super::{TemplateError, Templates, chart, dates, scripts};
use crate::ledger::language::Language;
use crate::ledger::statement::MonthlyReport;

/// With more rows than this browsers become slow; the CSV file has all of them.
const MAX_ROWS: usize = 5_000;

#[derive(Debug, Serialize)]
struct View {
    #[serde(flatten)]
    month: summary::View,
    first_day: String,
    last_day: String,
    zone: &'static str,
    chart: String,
    /// The chart for a narrow screen.
    chart_narrow: String,
    has_partial_days: bool,
    /// For `script-src` of the Content-Security-Policy: the hashes of the scripts in the template.
    script_sources: String,
}

/// Renders the page.
///
/// # Errors
/// If a template that the operator changed does not fit these values.
pub fn page(templates: &Templates, report: &MonthlyReport, language: Language) -> Result<String, TemplateError> {
    let mut days = vec![(0_u64, 0_u64); report.first_day.iter_days().take_while(|day| *day <= report.last_day).count()];
    for statement in &report.statements {
        for (total, day) in days.iter_mut().zip(&statement.days) {
            // Saturating is good enough for a chart; nothing is billed from these sums.
            *total = (total.0.saturating_add(day.0), total.1.saturating_add(day.1));
        }
    }
    let partial = partial_days(report, |_| true);
    let bar = |(date, bytes): (chrono::NaiveDate, (u64, u64))| Bar {
        label: dates::short(language, date),
        bytes,
        is_partial: partial.contains(&date),
    };
    let bars: Vec<Bar> = report.first_day.iter_days().zip(days).map(bar).collect();
    let words = templates.words(language);
    let title = words.say("by_day", &[]);
    let view = View {
        month: view(report, language, words, MAX_ROWS),
        first_day: report.first_day.to_string(),
        last_day: report.last_day.to_string(),
        zone: report.zone.name(),
        chart: chart::days(Shape::Wide, &title, &bars),
        chart_narrow: chart::days(Shape::Narrow, &title, &bars),
        has_partial_days: !partial.is_empty(),
        script_sources: scripts::sources(&templates.source("page.html")?),
    };
    templates.fill("page.html", language, &view)
}
