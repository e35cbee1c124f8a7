//! `flow-agent report`: gathers the nodes' days, makes the report of a billing month, stores it and mails it.

mod arrivals;
mod closing;
mod collect;
mod deliveries;
mod keep;
mod kept;
#[cfg(test)]
mod laws;
pub(super) mod letters;
mod post;
mod say;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::str::FromStr;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use tokio::runtime::Runtime;

use self::collect::Collected;
use super::{Common, gathered, output, templates};
use crate::clock;
use crate::config::{Config, IncompleteLetters};
use crate::exit::{Code, Failure};
use crate::fleet::{self, Client};
use crate::ledger::calendar;
use crate::ledger::month::{Month, MonthError};
use crate::ledger::statement::{Finality, MonthlyReport, NodeStatement};
use crate::mail::{SmtpMailer, SmtpTiming};
use crate::render::Templates;
use crate::store::sent::{History, Sent};
use crate::store::{ReportLock, StateDir, reports};
use deliveries::DeliveryHistory;
use letters::Letters;
use post::Posted;

/// Gather the nodes' logs, total a month, store it, and mail the statements
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The billing month, such as 2026-10, or `this`, the one in progress [default: every month that is over and not
    /// closed yet, oldest first, back to the first one reported within a year]
    #[arg(long, value_name = "MONTH")]
    pub month: Option<MonthChoice>,
    /// Where the nodes' days come from: their files, or the hours that they sent to ClickHouse
    #[arg(long, value_enum, default_value_t, value_name = "SOURCE")]
    pub from: arrivals::From,
    /// Show what would be done; write nothing and mail nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write everything, but mail nothing
    #[arg(long)]
    pub no_mail: bool,
    /// Mail this user's statement again, whether or not it was sent before; `@admins`: the summary
    #[arg(long, value_name = "USER", conflicts_with_all = ["dry_run", "no_mail"])]
    pub resend: Vec<String>,
}

impl Args {
    /// Whether this run may send anything to anybody.
    pub fn may_send(&self) -> bool {
        !self.dry_run && !self.no_mail
    }
}

/// The month given on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonthChoice {
    This,
    Month(Month),
}

impl FromStr for MonthChoice {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        if text == "this" { Ok(Self::This) } else { text.parse().map(Self::Month) }
    }
}

/// A report to be made.
pub(super) struct Job {
    pub(super) config: Config,
    pub(super) state: StateDir,
    /// Where the days come from; `None` for the nodes themselves.
    pub(super) clickhouse: Option<Client>,
    pub(super) now: DateTime<Utc>,
    pub(super) month: Month,
    pub(super) resend: Vec<String>,
    /// A month was named. It is reported even if it is closed, and letters that were permanently refused are tried
    /// again.
    pub(super) is_asked_for: bool,
    /// What was published is corrected by data alone: bytes that were billed keep their price and rule. A month that is
    /// named is billed by the present configuration.
    pub(super) keeps_terms: bool,
    /// The month was not named and is not the last complete one. It is skipped while no node has data for it.
    pub(super) is_caught_up: bool,
}

/// Makes the reports.
///
/// # Errors
/// Exit code 2 for the arguments, 3 for the configuration, 5 for a file or the lock. Missing data is listed in the
/// report, and the code is 6; letters that could not be mailed are in `sent.jsonl`, and the code is 7. With several
/// months, the worst code is returned.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let mut config = common.load()?;
    let clickhouse = match args.from {
        arrivals::From::Scp => None,
        arrivals::From::Clickhouse => {
            Some(Client::new(super::ship::configured(&config)?, fleet::RequestTiming::default())?)
        }
    };
    let names_no_nodes = config.nodes.is_empty();
    if names_no_nodes {
        config.nodes = vec![collect::this_node(&config)];
    }
    let now = clock::now().wall;
    let today = calendar::local(config.timezone, now).date_naive();
    let last_complete = Month::last_complete(today, config.month_start_day);
    let month = match args.month {
        None => last_complete,
        Some(MonthChoice::This) => Month::containing(today, config.month_start_day),
        Some(MonthChoice::Month(month)) => month,
    };
    if month.first_day(config.month_start_day) > today {
        let error = anyhow::anyhow!("{month} has not begun yet");
        return Err(Failure::new(Code::Usage, error));
    }
    if !args.resend.is_empty() && config.mail.is_none() {
        let error = anyhow::anyhow!("cannot send letters again: there is no [mail] in the configuration");
        return Err(Failure::new(Code::Config, error).help("name the mail server and the sender in [mail]"));
    }
    let is_asked_for = args.month.is_some() || !args.resend.is_empty();
    let state = StateDir::new(&config.state_dir);
    let months = match is_asked_for {
        true => vec![month],
        false => closing::months(&reports::months(&state)?, last_complete),
    };
    let keeps_terms = args.month.is_none() || !args.resend.is_empty();
    let resend = args.resend;
    let mut job = Job { config, state, clickhouse, now, month, resend, is_asked_for, keeps_terms, is_caught_up: false };
    let templates = templates::load(&job.config)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the runtime")?;
    use_one_heap();
    let lock = if args.dry_run { None } else { Some(job.state.lock_report()?) };
    let mut ledger = match &lock {
        Some(lock) => Ledger::open(lock)?,
        None => Ledger::read(&job.state)?,
    };
    let mut outcome = closing::Outcome::default();
    for month in months {
        job.month = month;
        if let (Some(client), true) = (&job.clickhouse, names_no_nodes) {
            job.config.nodes = collect::known_nodes(&job.config, client, month)?;
        }
        job.is_caught_up = !is_asked_for && month != last_complete;
        let result = match &lock {
            Some(lock) => report(&job, &templates, lock, &mut ledger, args.no_mail, &runtime),
            None => dry_run(&job, &templates, &ledger, &runtime),
        };
        outcome.add(result);
    }
    // A copy that was given up may hang in the kernel; do not wait for it.
    runtime.shutdown_background();
    outcome.into_result()
}

/// What gathering the month in progress found.
pub(super) struct Gathered {
    pub(super) problems: Vec<String>,
    /// Why nodes were not gathered, by name.
    pub(super) whys: BTreeMap<String, String>,
}

/// Gathers what the nodes counted in the current month, without making a report.
///
/// # Errors
/// When a file cannot be written, or another process is making a report.
pub(super) fn gather_this_month(config: &Config, now: DateTime<Utc>) -> Result<Gathered, Failure> {
    let today = calendar::local(config.timezone, now).date_naive();
    let job = Job {
        config: config.clone(),
        state: StateDir::new(&config.state_dir),
        clickhouse: None,
        now,
        month: Month::containing(today, config.month_start_day),
        resend: Vec::new(),
        is_asked_for: true,
        keeps_terms: true,
        is_caught_up: false,
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the runtime")?;
    let lock = job.state.lock_report()?;
    let directory = gathered::directory(config);
    let collected = collect::collect(&job, Some(&lock), &directory, None, &runtime)?;
    runtime.shutdown_background();
    let why = |node: NodeStatement| Some((node.name, node.why?));
    let whys = collected.report.nodes.into_iter().filter_map(why).collect();
    Ok(Gathered { problems: collected.problems, whys })
}

/// Makes all threads allocate from the main heap. By default glibc gives each thread a heap of its own, and memory that
/// the threads free after adding up the nodes is not used again by others. That costs a third more memory if a node has
/// tens of thousands of users.
///
/// Large pieces, such as the sums of such a node, stay apart from it, so that they are returned to the system at once. By
/// default glibc takes the first piece that is freed as a sign that more of that size follow, and keeps them.
fn use_one_heap() {
    #[cfg(target_env = "gnu")]
    const LARGE_BYTES: libc::c_int = 4 << 20;
    // SAFETY: glibc's mallopt takes two integers, and may be called at any time.
    #[cfg(target_env = "gnu")]
    let is_set =
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) == 1 && libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES) == 1 };
    #[cfg(not(target_env = "gnu"))]
    let is_set = true;
    if !is_set {
        tracing::debug!("the allocator keeps a heap for each thread");
    }
}

/// The mail ledger: its content when the run began, and the open file for new lines.
struct Ledger {
    history: History,
    /// `None` if nothing may be written.
    sent: Option<Sent>,
}

impl Ledger {
    fn open(lock: &ReportLock) -> Result<Self, Failure> {
        let (sent, history) = Sent::open(lock)?;
        Ok(Self { history, sent: Some(sent) })
    }

    fn read(state: &StateDir) -> Result<Self, Failure> {
        Ok(Self { history: Sent::read(state)?, sent: None })
    }
}

fn dry_run(job: &Job, templates: &Templates, ledger: &Ledger, runtime: &Runtime) -> Result<Code, Failure> {
    let deliveries = DeliveryHistory::new(job.month, &ledger.history);
    let former = reports::read_report(&job.state, job.month)?;
    closing::check_period(job, former.as_ref())?;
    if closing::can_be_skipped(job, former.as_ref(), &deliveries, false) {
        if !job.is_caught_up {
            output::print(&say::closed(&job.state.reports(job.month), job.month))?;
        }
        return Ok(Code::Done);
    }
    let Some(Collected { report, problems, loses_bytes }) = figures(job, None, former, &deliveries, runtime)? else {
        return Ok(Code::Done);
    };
    let letters = Letters::of(job, templates, &report, &deliveries)?;
    output::print(&say::report(&report, &problems))?;
    output::print(&say::plan(&letters, &deliveries, job, &report))?;
    Ok(code(job, &report, loses_bytes, None))
}

/// The figures of the month as the successor of `former`; `None` for a month that is only caught up and of which no
/// node has anything.
fn figures(
    job: &Job,
    lock: Option<&ReportLock>,
    former: Option<MonthlyReport>,
    deliveries: &DeliveryHistory,
    runtime: &Runtime,
) -> Result<Option<Collected>, Failure> {
    let former = match former {
        // Sending a letter again is no reason to change what a closed month says.
        Some(report) if !job.resend.is_empty() && report.state == Finality::Final => {
            return Ok(Some(Collected { report, problems: Vec::new(), loses_bytes: false }));
        }
        former => former.map(without_statements),
    };
    let directory = gathered::directory(&job.config);
    let Collected { report, problems, loses_bytes } =
        collect::collect(job, lock, &directory, former.as_ref(), runtime)?;
    if job.is_caught_up && former.is_none() && closing::has_nothing(&report) {
        return Ok(None);
    }
    let former = reports::read_report(&job.state, job.month)?;
    let letters = deliveries.delivered();
    if former.is_none() && letters > 0 {
        // Mailing everybody again would be worse where nothing has changed, and what was mailed is not known here.
        let lost = job.state.reports(job.month);
        tracing::warn!(
            "{} is gone, although {letters} letters of {} were mailed: if the figures have changed since, mail them with \
             --resend",
            lost.join(reports::REPORT).display(),
            job.month
        );
    }
    Ok(Some(Collected { report: report.revise(former), problems, loses_bytes }))
}

/// The former report without its statements, which may take as much memory as those about to be made. They are read
/// again when there is room for both.
fn without_statements(former: MonthlyReport) -> MonthlyReport {
    MonthlyReport { statements: Vec::new(), ..former }
}

/// Files and locks are handled here, outside the runtime: only gathering and mailing are asynchronous.
fn report(
    job: &Job,
    templates: &Templates,
    lock: &ReportLock,
    ledger: &mut Ledger,
    no_mail: bool,
    runtime: &Runtime,
) -> Result<Code, Failure> {
    let deliveries = DeliveryHistory::new(job.month, &ledger.history);
    let former = reports::read_report(&job.state, job.month)?;
    closing::check_period(job, former.as_ref())?;
    if closing::can_be_skipped(job, former.as_ref(), &deliveries, no_mail) {
        if std::io::stdout().is_terminal() && !job.is_caught_up {
            output::print(&say::closed(&job.state.reports(job.month), job.month))?;
        }
        return Ok(Code::Done);
    }
    let found = figures(job, Some(lock), former, &deliveries, runtime)?;
    let Some(Collected { mut report, problems, loses_bytes }) = found else {
        return Ok(Code::Done);
    };
    let letters = Letters::of(job, templates, &report, &deliveries)?;
    letters.check_resend_names(job)?;
    let mail = job.config.mail.as_ref().filter(|_| !no_mail);
    let due = if mail.is_some() { letters.due(job, &report, &deliveries) } else { Vec::new() };
    report.publish(due.iter().map(|letter| letter.user.as_deref()));
    keep::keep(lock, &report, &letters)?;

    let mut posted = None;
    if let (Some(mail), Some(sent)) = (mail, &mut ledger.sent) {
        let mut mailer = SmtpMailer::new(mail, SmtpTiming::default())?;
        let mut post = post::Post { month: job.month, zone: job.config.timezone, sent };
        let settled = post.settle(&letters.all, &due, &deliveries)?;
        posted = Some(runtime.block_on(post.post(&mut mailer, due, post::DELAYS, settled))?);
    }
    let code = code(job, &report, loses_bytes, posted.as_ref());
    if code != Code::Done || std::io::stdout().is_terminal() {
        output::print(&say::report(&report, &problems))?;
        output::print(&say::outlook(job, &report))?;
        output::print(&say::places(&job.state.reports(job.month), &report, &letters))?;
        if let Some(posted) = &posted {
            output::print(&say::posted(posted, &deliveries))?;
        }
    }
    Ok(code)
}

/// Failed mail takes precedence, because a report with missing data must reach somebody first.
fn code(job: &Job, report: &MonthlyReport, loses_bytes: bool, posted: Option<&Posted>) -> Code {
    if posted.is_some_and(Posted::has_failed) {
        Code::Mail
    } else if loses_bytes || report.is_incomplete(job.config.report.min_coverage) {
        Code::Incomplete
    } else {
        Code::Done
    }
}

/// Whether the letter of this statement is withheld for now.
fn withholds(job: &Job, report: &MonthlyReport, state: Finality) -> bool {
    // A month without data from any node has nothing to report: the main node was set up later, or it reached no node.
    if closing::has_nothing(report) {
        return true;
    }
    match job.config.report.incomplete {
        IncompleteLetters::Provisional => false,
        IncompleteLetters::Withhold => state == Finality::Provisional,
    }
}
