//! Which months a run has to close, and when a month is closed.

use std::collections::BTreeSet;

use super::deliveries::DeliveryHistory;
use super::{Job, letters, withholds};
use crate::exit::{Code, Failure};
use crate::ledger::month::Month;
use crate::ledger::statement::{Finality, MonthlyReport, NodeState};
use crate::store::reports;

/// How many months a run looks back for one that is not closed. The limit prevents a report of a much older month, made
/// by hand, from making the next run mail years of statements.
const MONTHS_BACK: usize = 12;

/// The months that a run considers, the oldest first: all from the first `reported` one (within [`MONTHS_BACK`]) to the
/// last complete one, whether each was reported or not. On a new main node that is only the last complete month.
pub(super) fn months(reported: &BTreeSet<Month>, last_complete: Month) -> Vec<Month> {
    let back = std::iter::successors(Some(last_complete), |month| Some(month.previous())).take(MONTHS_BACK);
    let mut months: Vec<Month> = back.collect();
    let oldest = months.iter().rposition(|month| reported.contains(month)).unwrap_or(0);
    months.truncate(oldest + 1);
    months.reverse();
    months
}

/// Checks that the billing month begins and ends where its former report and that of the month before say. If not,
/// `month_start_day` was changed, and days would be billed twice or never.
///
/// # Errors
/// Exit code 3, unless the month was asked for: then a person has decided.
pub(super) fn check_period(job: &Job, former: Option<&MonthlyReport>) -> Result<(), Failure> {
    if job.is_asked_for {
        return Ok(());
    }
    let start_day = job.config.month_start_day;
    let (first, last) = (job.month.first_day(start_day), job.month.last_day(start_day));
    let is_published = |report: &&MonthlyReport| report.state != Finality::InProgress;
    let conflict = if let Some(former) = former.filter(is_published) {
        ((former.first_day, former.last_day) != (first, last)).then(|| {
            format!(
                "its report covers {} to {}, but now it would be {first} to {last}",
                former.first_day, former.last_day
            )
        })
    } else {
        let before = reports::read_report(&job.state, job.month.previous())?;
        before.as_ref().filter(is_published).filter(|before| before.last_day.succ_opt() != Some(first)).map(|before| {
            format!(
                "the report of {} ends with {}, but this month would begin on {first}",
                before.month, before.last_day
            )
        })
    };
    let Some(conflict) = conflict else { return Ok(()) };
    let error = anyhow::anyhow!("cannot report {}: {conflict}", job.month);
    Err(Failure::new(Code::Config, error).help(format!(
        "`month_start_day` was changed, so days would be billed twice or never: set it back, or bill the days in question yourself and report the \
         month by name: flow-agent report --month {}",
        job.month
    )))
}

/// Whether this month was not asked for and is closed.
pub(super) fn can_be_skipped(
    job: &Job,
    former: Option<&MonthlyReport>,
    deliveries: &DeliveryHistory,
    no_mail: bool,
) -> bool {
    !job.is_asked_for && former.is_some_and(|former| is_closed(job, former, deliveries, no_mail))
}

/// Whether a month is closed: no data is waited for, and every letter was handed over or permanently refused.
fn is_closed(job: &Job, former: &MonthlyReport, deliveries: &DeliveryHistory, no_mail: bool) -> bool {
    if former.state != Finality::Final {
        return false;
    }
    let Some(mail) = job.config.mail.as_ref().filter(|_| !no_mail) else { return true };
    let summary = mail.admins.is_empty() || deliveries.is_settled(None, former.rev);
    summary
        && former.statements.iter().all(|statement| {
            let is_settled = |user: &str| {
                letters::address(&job.config, user).is_none() || deliveries.is_settled(Some(user), statement.rev)
            };
            withholds(job, former, former.state_of(statement)) || statement.user.as_deref().is_none_or(is_settled)
        })
}

/// Whether there is no data from any node.
pub(super) fn has_nothing(report: &MonthlyReport) -> bool {
    report.nodes.iter().all(|node| node.state == NodeState::Missing)
}

/// The combined outcome of all months of a run.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    is_incomplete: bool,
    is_not_mailed: bool,
    failure: Option<Failure>,
}

impl Outcome {
    /// Adds one month. A failed month does not prevent the others from being closed. The first failure is returned at
    /// the end; further ones are logged at once.
    pub(super) fn add(&mut self, result: Result<Code, Failure>) {
        match result {
            Ok(code) => {
                self.is_incomplete |= code == Code::Incomplete;
                self.is_not_mailed |= code == Code::Mail;
            }
            Err(failure) if self.failure.is_none() => self.failure = Some(failure),
            Err(failure) => tracing::error!("{}", failure.render()),
        }
    }

    /// The worst exit code; a failure is worse than an incomplete month.
    pub(super) fn into_result(self) -> Result<Code, Failure> {
        match self.failure {
            Some(failure) => Err(failure),
            None if self.is_not_mailed => Ok(Code::Mail),
            None if self.is_incomplete => Ok(Code::Incomplete),
            None => Ok(Code::Done),
        }
    }
}

#[cfg(test)]
mod tests;
