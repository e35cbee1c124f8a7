//! `flow-agent notify`: finds out what users and administrators should be told, and sends it over the configured
//! channels.
//!
//! It is a separate process, which only reads what the agent wrote, so that nothing it does can delay counting.

pub mod facts;
mod letters;
mod send;

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use super::{Common, limits, output, report, templates};
use crate::clock;
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::ledger::limits::due::{NoticeHistory, of_users};
use crate::ledger::limits::notice::Notice;
use crate::store::notices::Notices;
use crate::store::{StateDir, StoreError};
use send::{Sender, Summary};

/// Notify users and admins of quotas that are reached, gaps, and nodes without news
#[derive(Debug, clap::Args)]
#[command(after_help = "flow-agent-notify.timer runs this every minute. On a main node, flow-agent-gather.timer runs \
                        `flow-agent notify --gather` every hour.")]
pub struct Args {
    /// On a main node: first gather this month's figures from the nodes
    #[arg(long)]
    pub gather: bool,
    /// Show what would be sent; send nothing and write nothing
    #[arg(long, conflicts_with = "gather")]
    pub dry_run: bool,
    /// Retry what failed before now, instead of after a pause
    #[arg(long, conflicts_with = "dry_run")]
    pub retry_now: bool,
}

/// Sends the notices that are due.
///
/// # Errors
/// Exit code 3 or 5 if the configuration or a file cannot be read, 5 if the ledger cannot be written. Notices that were
/// not delivered are named, and the code is 7. Nodes that were not gathered and damaged files are named, and the code
/// is 6.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    let now = clock::now().wall;
    let mut problems = Vec::new();
    let mut whys = BTreeMap::new();
    if args.gather && !config.nodes.is_empty() {
        let gathered = report::gather_this_month(&config, now)?;
        problems.extend(gathered.problems);
        whys = gathered.whys;
    }
    let (notices, damages) = find(&config, &whys, now)?;
    problems.extend(damages);
    for problem in &problems {
        output::complain(&format!("warning: {problem}"));
    }
    let state = StateDir::new(&config.state_dir);
    if args.dry_run {
        let told = NoticeHistory::new(&Notices::read(&state)?.lines);
        return show(&config, &notices, &told, now);
    }
    let summary = match tell(&config, &state, &notices, args.retry_now)? {
        Some(summary) => summary,
        None => {
            tracing::info!("another `flow-agent notify` is running");
            return Ok(Code::Done);
        }
    };
    for failure in &summary.failures {
        output::complain(&format!("warning: {failure}"));
    }
    if summary.sent > 0 {
        output::print(&format!("{} sent\n", crate::ledger::units::count(summary.sent, "notice")))?;
    }
    Ok(match (summary.failures.is_empty(), problems.is_empty()) {
        (false, _) => Code::Mail,
        (true, false) => Code::Incomplete,
        (true, true) => Code::Done,
    })
}

/// Sends what is due after a report has gathered the nodes. Failures are printed, and do not change the outcome of the
/// report.
pub fn after_report(common: &Common) {
    // If the configuration is not valid, the report has failed because of it.
    let Ok(config) = common.load() else { return };
    // Without a channel in `[[notify]]`, a report sends only letters. The timer sends notices by mail.
    if config.notify.is_empty() {
        return;
    }
    let state = StateDir::new(&config.state_dir);
    let found = find(&config, &BTreeMap::new(), clock::now().wall);
    match found.and_then(|(notices, _)| tell(&config, &state, &notices, false)) {
        Ok(summary) => {
            for failure in summary.into_iter().flat_map(|summary| summary.failures) {
                output::complain(&format!("warning: {failure}"));
            }
        }
        Err(failure) => output::complain(&format!("warning: no notices were sent: {:#}", failure.error)),
    }
}

/// Everything that should be told now, whether or not it was told before, and what could not be read.
fn find(
    config: &Config,
    whys: &BTreeMap<String, String>,
    now: DateTime<Utc>,
) -> Result<(Vec<Notice>, Vec<String>), Failure> {
    let standing = limits::standing(config, now)?;
    let mut notices = of_users(&standing.users, &config.limits.warn, standing.today);
    notices.extend(facts::of_nodes(config, &standing, whys, now));
    Ok((notices, standing.damages))
}

/// Sends what is due; `None` if another process is doing so.
fn tell(config: &Config, state: &StateDir, notices: &[Notice], retry_now: bool) -> Result<Option<Summary>, Failure> {
    if config.notify.is_empty() && config.mail.is_none() {
        return Ok(Some(Summary::default()));
    }
    let lock = match state.lock_notices() {
        Err(StoreError::Locked { .. }) => return Ok(None),
        other => other?,
    };
    let (ledger, content) = Notices::open(&lock)?;
    for damage in &content.damages {
        output::complain(&format!("warning: {damage}; notices that it recorded may be sent once more"));
    }
    let templates = templates::load(config)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the runtime")?;
    let told = NoticeHistory::new(&content.lines);
    let mut sender = Sender { config, templates: &templates, ledger, told, runtime: &runtime, retry_now };
    Ok(Some(sender.send_all(notices)?))
}

/// Prints what would be sent now.
fn show(config: &Config, notices: &[Notice], told: &NoticeHistory, now: DateTime<Utc>) -> Result<Code, Failure> {
    let templates = templates::load(config)?;
    let mut text = String::new();
    for target in send::targets(config) {
        for notice in send::due(config, &target, notices, told, now, false) {
            let letter = letters::text(config, &templates, notice, target.language(config, notice), now)?;
            text += &format!("{}: {}\n", target.name(), letter.subject);
        }
    }
    output::print(if text.is_empty() { "nothing to send\n" } else { &text })?;
    Ok(Code::Done)
}
