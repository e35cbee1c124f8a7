//! Writes the files of a report. `report.json` comes last; without it, the month counts as not reported.

use std::collections::BTreeSet;

use super::letters::Letters;
use crate::ledger::statement::MonthlyReport;
use crate::render::summary::{csv, csv_name};
use crate::store::reports::{remove_other_letters, write_files, write_report};
use crate::store::table::put_month;
use crate::store::{ReportLock, StoreError};

pub(super) fn keep(lock: &ReportLock, report: &MonthlyReport, letters: &Letters) -> Result<(), StoreError> {
    let (_, damages) = put_month(lock, report.month_lines(), report.month_seal())?;
    for damage in damages {
        tracing::warn!(%damage, "lines of the monthly log do not count and were copied aside");
    }
    // Rendered here rather than kept with the letters: with tens of thousands of users it takes megabytes.
    let (csv_name, csv) = (csv_name(report), csv(report));
    let others = [("report.html", letters.page.as_bytes()), (csv_name.as_str(), csv.as_bytes())];
    let files = letters.files().map(|(name, letter)| (name, letter.bytes.as_slice())).chain(others);
    write_files(lock, report.month, files)?;
    let names: BTreeSet<String> = letters.files().map(|(name, _)| name.to_owned()).collect();
    remove_other_letters(lock, report.month, &names)?;
    write_report(lock, report)
}
