//! Tries templates out before they are needed.

use super::{TemplateError, Templates, letter, notice, page, sample, summary};
use crate::ledger::language::Language;

impl Templates {
    /// Renders notices, and letters, summaries and pages of sample months that use every part of the templates.
    ///
    /// # Errors
    /// If one of the templates uses a value that does not exist.
    pub fn try_out(&self) -> Result<(), TemplateError> {
        for language in [Language::English, Language::Chinese] {
            notice::try_out(self, language)?;
        }
        for report in sample::every_kind() {
            for language in [Language::English, Language::Chinese] {
                for statement in &report.statements {
                    let last_rev = statement.history.last().map(|prior| prior.rev);
                    letter::statement(self, &report, statement, last_rev, language)?;
                }
                summary::summary(self, &report, language)?;
                page::page(self, &report, language)?;
            }
        }
        Ok(())
    }
}
