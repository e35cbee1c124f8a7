//! The output of `report` on the terminal or to cron.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::deliveries::DeliveryHistory;
use super::letters::{self, ADMINS, Letters};
use super::post::Posted;
use super::{Job, closing, withholds};
use crate::ledger::month::Month;
use crate::ledger::record::MailState;
use crate::ledger::statement::{Finality, MonthlyReport, NodeState, NodeStatement, Statement};
use crate::ledger::units::Human;
use crate::ledger::units::count;
use crate::render::summary;

/// At most this many of the remaining nodes are named by the progress bar.
const MAX_NAMED_NODES: usize = 3;

/// A progress bar for the nodes, shown only on a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    waiting: RefCell<Vec<String>>,
}

impl Progress {
    pub(super) fn new<'n>(nodes: impl Iterator<Item = &'n str>) -> Self {
        let waiting: Vec<String> = nodes.map(str::to_owned).collect();
        let is_seen = std::io::stderr().is_terminal();
        let target = if is_seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(waiting.len() as u64), target);
        let style = ProgressStyle::with_template("gathered {pos} of {len} nodes {bar:24} {elapsed} {wide_msg}");
        bar.set_style(style.expect("the template is a fixed one"));
        bar.set_message(waiting_for(&waiting));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, waiting: RefCell::new(waiting) }
    }

    pub(super) fn done(&self, node: &str) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|name| name != node);
        self.bar.set_message(waiting_for(&waiting));
        self.bar.inc(1);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// `waiting for us-1, fr-1`
fn waiting_for(nodes: &[String]) -> String {
    match nodes {
        [] => String::new(),
        _ if nodes.len() <= MAX_NAMED_NODES => format!("waiting for {}", nodes.join(", ")),
        _ => {
            let named = nodes[..MAX_NAMED_NODES].join(", ");
            format!("waiting for {named} and {} more", nodes.len() - MAX_NAMED_NODES)
        }
    }
}

/// Where the files of the month are.
pub(super) fn places(directory: &Path, report: &MonthlyReport, letters: &Letters) -> String {
    let mut text = format!("page:    {}\n", directory.join("report.html").display());
    push_line(&mut text, format_args!("figures: {}", directory.join(summary::csv_name(report)).display()));
    let letters = count(letters.all.len(), "letter");
    push_line(&mut text, format_args!("letters: {} ({letters})", directory.join("*.eml").display()));
    text
}

/// Says that nothing was done for a month because it is closed.
pub(super) fn closed(directory: &Path, month: Month) -> String {
    format!(
        "{month} is complete and was reported: {}\nto make the report again: --month {month}\n",
        directory.join("report.html").display()
    )
}

/// The month, its nodes and the problems.
pub(super) fn report(report: &MonthlyReport, problems: &[String]) -> String {
    let state = match report.state {
        Finality::InProgress => "not over yet",
        Finality::Provisional => "provisional",
        Finality::Final => "final",
    };
    let mut text = format!(
        "{} ({} to {}, {}): {state}, revision {}\n{} of {} users and {} unassigned ports; {} of the time was measured\n",
        report.month,
        report.first_day,
        report.last_day,
        report.zone,
        report.rev,
        Human(report.total().bytes().into()),
        report.statements.iter().filter(|statement| statement.user.is_some()).count(),
        report.statements.iter().filter(|statement| statement.user.is_none()).count(),
        summary::coverage(report.coverage),
    );
    let waiting =
        report.statements.iter().filter(|statement| report.state_of(statement) == Finality::Provisional).count();
    if let (1.., Some(day)) = (waiting, report.final_on()) {
        let all = report.statements.len();
        push_line(
            &mut text,
            format_args!(
                "{waiting} of {all} statements are provisional; if no more data arrives, they are final on {day}"
            ),
        );
    }
    let width = report.nodes.iter().map(|node| node.name.len()).max().unwrap_or(0);
    for node in &report.nodes {
        let state = match node.state {
            NodeState::Gathered => "gathered",
            NodeState::Kept => "not reached, figures KEPT from an earlier run",
            NodeState::Missing => "MISSING",
        };
        let bytes = Human(node.total.bytes().into());
        write!(text, "  {:width$}  {bytes:>12}  measured {:>8}  {state}", node.name, summary::coverage(node.coverage))
            .expect("writing to a String cannot fail");
        if !node.days_missing.is_empty() {
            write!(text, ", {} missing", count(node.days_missing.len(), "day"))
                .expect("writing to a String cannot fail");
        }
        if !node.days_growing.is_empty() {
            write!(text, ", {} may still grow", count(node.days_growing.len(), "day"))
                .expect("writing to a String cannot fail");
        }
        text.push('\n');
    }
    for problem in problems {
        text.push_str("! ");
        text.push_str(problem);
        text.push('\n');
    }
    text
}

/// Whether the report still waits for missing data, and whose letters are withheld until then.
pub(super) fn outlook(job: &Job, report: &MonthlyReport) -> String {
    let mut text = String::new();
    let month = report.month;
    if let Some(day) = report.final_on() {
        push_line(
            &mut text,
            format_args!("each run retries what is missing until {day}; after that, use --month {month}"),
        );
    } else if report.state == Finality::Final && report.nodes.iter().any(NodeStatement::is_open) {
        push_line(&mut text, format_args!("what is missing is retried only with --month {month}"));
    }
    let has_nothing = closing::has_nothing(report);
    let is_withheld = |statement: &&Statement| withholds(job, report, report.state_of(statement));
    if has_nothing || report.statements.iter().any(|statement| is_withheld(&statement)) {
        let why = match has_nothing {
            true => "as long as there is no data from any node",
            false => "while their figures are provisional (`report.incomplete`)",
        };
        push_line(&mut text, format_args!("users' letters are withheld {why}; send one with --resend USER"));
    }
    text
}

/// The outcome of mailing the letters.
pub(super) fn posted(posted: &Posted, deliveries: &DeliveryHistory) -> String {
    let refused_to_all: u64 = posted.refused_to_all.iter().map(|(_, letters)| letters).sum();
    let failed = refused_to_all + posted.failed.len() as u64;
    let mut text = format!("letters: {} sent, {failed} failed, {} unknown\n", posted.sent, posted.unknown.len());
    for (refusal, letters) in &posted.refused_to_all {
        let letters = count(usize::try_from(*letters).unwrap_or(usize::MAX), "letter");
        push_line(&mut text, format_args!("! {letters} not sent: the mail server: {}", refusal.reply));
        if let Some(help) = &refusal.help {
            push_line(&mut text, format_args!("  help: {help}"));
        }
    }
    for (user, reply) in &posted.failed {
        push_line(&mut text, format_args!("! not sent to {}: {reply}", name(user)));
    }
    for (user, refused) in &posted.left_out {
        let user = name(user);
        push_line(
            &mut text,
            format_args!("! sent to {user}, but not to {refused}; to send it to all of them again: --resend {user}"),
        );
    }
    for (user, why) in &posted.unknown {
        let user = name(user);
        push_line(
            &mut text,
            format_args!(
                "! it is unknown whether {user} received the letter ({why}); to send it again: --resend {user}"
            ),
        );
    }
    if posted.held_back {
        for damage in &deliveries.damages {
            push_line(&mut text, format_args!("! {damage}"));
        }
        text.push_str(
            "! these lines of the mail ledger are damaged; letters are held back until the lines are removed\n",
        );
    }
    text
}

/// The letters that would be mailed.
pub(super) fn plan(letters: &Letters, deliveries: &DeliveryHistory, job: &Job, report: &MonthlyReport) -> String {
    let mut text = String::new();
    for letter in &letters.all {
        let user = letter.name();
        let state = match deliveries.last(letter.user.as_deref(), letter.rev) {
            None | Some(MailState::Failed) if letters::is_due(job, report, deliveries, letter) => "would be mailed",
            None | Some(MailState::Failed) => "would be held back",
            Some(MailState::Sent) => "was mailed",
            Some(MailState::Sending | MailState::Unknown) => "may have been mailed",
        };
        push_line(&mut text, format_args!("{state}: {user}, revision {}", letter.rev));
    }
    if job.config.mail.is_none() {
        text.push_str("no mail: there is no [mail] in the configuration\n");
    }
    text
}

fn name(user: &Option<String>) -> &str {
    user.as_deref().unwrap_or(ADMINS)
}

fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a String cannot fail");
}
