//! `flow-agent report`: gathers the nodes' days, totals a billing month, keeps it, and mails it.

mod collect;
mod keep;
pub(super) mod letters;
mod post;
mod say;
mod told;

use std::io::IsTerminal as _;
use std::str::FromStr;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Common, output};
use crate::clock;
use crate::config::{Config, IncompleteLetters};
use crate::exit::{Code, Failure};
use crate::ledger::calendar;
use crate::ledger::month::{Month, MonthError};
use crate::ledger::statement::{MonthlyReport, NodeState, State};
use crate::mail::{SmtpMailer, Timing};
use crate::store::{StateDir, reports, sent::Sent};
use letters::Letters;
use post::Posted;
use told::Told;

/// Gather the nodes' logs, total a month, keep it, and mail the statements
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The billing month, such as 2026-10, or `this`: the one that is not over [default: the last complete one, unless it
    /// is done already]
    #[arg(long, value_name = "MONTH")]
    pub month: Option<Which>,
    /// Shows what would be done; writes nothing and mails nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Writes everything, and mails nothing
    #[arg(long)]
    pub no_mail: bool,
    /// Mails this user's statement again, whatever became of it before; `@admins`: the summary
    #[arg(long, value_name = "USER", conflicts_with_all = ["dry_run", "no_mail"])]
    pub resend: Vec<String>,
}

/// Which month is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    This,
    Month(Month),
}

impl FromStr for Which {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        if text == "this" { Ok(Self::This) } else { text.parse().map(Self::Month) }
    }
}

/// A report that is to be made.
pub(super) struct Job {
    pub(super) config: Config,
    pub(super) state: StateDir,
    pub(super) now: DateTime<Utc>,
    pub(super) month: Month,
    pub(super) resend: Vec<String>,
    /// A month was named: it is reported even if it is done, and letters that were refused for good are tried again.
    pub(super) is_asked_for: bool,
}

/// Does it.
///
/// # Errors
/// When the arguments (2), the configuration (3), a file or the lock (5) stand in the way. What is missing of the month is in the report,
/// and the code is 6; what could not be mailed is in `sent.jsonl`, and the code is 7.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let mut config = common.load()?;
    if config.nodes.is_empty() {
        config.nodes = vec![collect::this_node(&config)];
    }
    let now = clock::now().wall;
    let today = calendar::local(config.timezone, now).date_naive();
    let month = match args.month {
        None => Month::last_complete(today, config.month_start_day),
        Some(Which::This) => Month::containing(today, config.month_start_day),
        Some(Which::Month(month)) => month,
    };
    if month.first_day(config.month_start_day) > today {
        let error = anyhow::anyhow!("{month} has not begun");
        return Err(Failure::new(Code::Usage, error));
    }
    if !args.resend.is_empty() && config.mail.is_none() {
        let error = anyhow::anyhow!("nothing can be sent again: there is no [mail] in the configuration");
        return Err(
            Failure::new(Code::Config, error).help("say in [mail] which server takes letters, and who they are from")
        );
    }
    let is_asked_for = args.month.is_some() || !args.resend.is_empty();
    let state = StateDir::new(&config.state_dir);
    let job = Job { config, state, now, month, resend: args.resend, is_asked_for };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the runtime")?;
    if args.dry_run { runtime.block_on(dry_run(&job)) } else { runtime.block_on(report(&job, args.no_mail)) }
}

async fn dry_run(job: &Job) -> Result<Code, Failure> {
    let templates = letters::templates(&job.config)?;
    let history = Sent::read(&job.state)?;
    let told = Told::new(job.month, &history);
    let former = reports::read_report(&job.state, job.month)?;
    let directory = collect::directory(&job.config);
    let collected = collect::collect(job, None, &directory).await?;
    let report = collected.report.revise(former, |user, rev| told.was_told(user, rev));
    let letters = Letters::of(job, &templates, &report, &told)?;
    output::print(&say::report(&report, &collected.problems))?;
    output::print(&say::plan(&letters, &told, job, &report))?;
    Ok(code(job, &report, None))
}

async fn report(job: &Job, no_mail: bool) -> Result<Code, Failure> {
    let templates = letters::templates(&job.config)?;
    let lock = job.state.lock_report()?;
    let (mut sent, history) = Sent::open(&lock)?;
    let told = Told::new(job.month, &history);
    let former = reports::read_report(&job.state, job.month)?;
    if !job.is_asked_for && former.as_ref().is_some_and(|former| is_done(job, former, &told, no_mail)) {
        return Ok(Code::Done);
    }
    let directory = collect::directory(&job.config);
    let collected = collect::collect(job, Some(&lock), &directory).await?;
    let report = collected.report.revise(former, |user, rev| told.was_told(user, rev));
    let letters = Letters::of(job, &templates, &report, &told)?;
    letters.hold_those_asked_for(job)?;
    keep::keep(&lock, &report, &letters)?;

    let mut posted = None;
    if let Some(mail) = job.config.mail.as_ref().filter(|_| !no_mail) {
        let due = letters.due(job, &report, &told);
        let mut mailer = SmtpMailer::new(mail, Timing::default())?;
        let mut post = post::Post { month: job.month, zone: job.config.timezone, sent: &mut sent };
        let settled = post.settle(&letters.all, &due, &told)?;
        posted = Some(post.post(&mut mailer, due, post::DELAYS, settled).await?);
    }
    let code = code(job, &report, posted.as_ref());
    if code != Code::Done || std::io::stdout().is_terminal() {
        output::print(&say::report(&report, &collected.problems))?;
        output::print(&say::outlook(job, &report))?;
        if let Some(posted) = &posted {
            output::print(&say::posted(posted, &told))?;
        }
    }
    Ok(code)
}

/// Mail first: what is missing of a month is in its report, which somebody must get.
fn code(job: &Job, report: &MonthlyReport, posted: Option<&Posted>) -> Code {
    if posted.is_some_and(Posted::has_failed) {
        Code::Mail
    } else if report.is_incomplete(job.config.report.min_coverage) {
        Code::Incomplete
    } else {
        Code::Done
    }
}

/// For how long after its first report a month is reported anew by itself, while something is missing of it.
const WAITING_DAYS: i64 = 7;

/// Whether the report of a month needs nothing more: nothing that may still come is missing, and every letter was handed
/// over, or refused for good.
fn is_done(job: &Job, former: &MonthlyReport, told: &Told, no_mail: bool) -> bool {
    if former.state == State::InProgress || waits_until(former).is_some_and(|until| job.now < until) {
        return false;
    }
    let Some(mail) = job.config.mail.as_ref().filter(|_| !no_mail) else { return true };
    let is_withheld = withholds(job, former);
    let summary = mail.admins.is_empty() || told.is_settled(None, former.rev);
    summary
        && former.statements.iter().all(|statement| {
            is_withheld
                || statement.user.as_deref().is_none_or(|user| {
                    letters::address(&job.config, user).is_none() || told.is_settled(Some(user), statement.rev)
                })
        })
}

/// Until when a month of which something is missing that may still come is reported anew by itself.
fn waits_until(report: &MonthlyReport) -> Option<DateTime<Utc>> {
    let is_waited_for = report.state == State::Provisional || report.nodes.iter().any(|node| node.why.is_some());
    report.first_made_at.filter(|_| is_waited_for).map(|at| at.to_utc() + TimeDelta::days(WAITING_DAYS))
}

/// Whether users get no letters yet.
fn withholds(job: &Job, report: &MonthlyReport) -> bool {
    // Of a month that no node has anything of there is nothing to say: the main node was set up later, or reached none.
    if report.nodes.iter().all(|node| node.state == NodeState::Missing) {
        return true;
    }
    match job.config.report.incomplete {
        IncompleteLetters::Provisional => false,
        IncompleteLetters::Withhold => report.state == State::Provisional,
    }
}
