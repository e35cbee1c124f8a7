//! The summary for the admins: all users, the state of the nodes, and the figures as CSV.

use serde::Serialize;

use super::letter::LetterText;
use super::reasons::Reader;
use super::view::{self, Bytes, rule};
use super::words::Words;
use super::{TemplateError, Templates, chart, dates, numbers, reasons, remarks};
use crate::ledger::billing::Money;
use crate::ledger::language::Language;
use crate::ledger::statement::{Coverage, Finality, MonthlyReport, NodeState, NodeStatement, Statement};

/// How many users the HTML part lists. Mail programs cut off what is longer than about 100 kB, and each user takes 1
/// kB.
const MAX_ROWS_IN_HTML: usize = 50;

/// How many users the text part lists; the page of the month and the CSV file have all of them.
const MAX_ROWS_IN_TEXT: usize = 1_000;

/// The values that the summary and the page show.
#[derive(Debug, Serialize)]
pub(super) struct View {
    language: &'static str,
    period: String,
    state: Finality,
    /// How many statements are provisional, and when they become final.
    provisional_count: Option<String>,
    rev: u32,
    billed_rule: String,
    total: Bytes,
    coverage: String,
    users: usize,
    unassigned: usize,
    money: Option<String>,
    nodes: Vec<Node>,
    rows: Vec<Row>,
    omitted: usize,
    /// The paths of the page, which has the complete and sortable list, and of the CSV file.
    page: String,
    csv: String,
    remarks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Node {
    name: String,
    state: NodeState,
    why: Option<String>,
    /// The days for which the node's figures are missing or may still grow: `3 days missing (12 to 14 Oct)`.
    days: Option<String>,
    coverage: String,
    bytes: Bytes,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// Whether this is the first port of no user: these form a section of their own, and have no amounts.
    starts_unassigned: bool,
    billed: Figure,
    input: Figure,
    output: Figure,
    quota: Option<String>,
    is_over: bool,
    /// The `_raw` fields are what the page sorts by: the quota and the change in thousandths, and the amount as a plain
    /// number.
    quota_raw: String,
    money: Option<String>,
    money_raw: String,
    change: Option<String>,
    change_raw: String,
    rev: u32,
    is_provisional: bool,
    spark: String,
}

/// A number of bytes, including a plain form to sort by.
#[derive(Debug, Serialize)]
struct Figure {
    human: String,
    exact: String,
    raw: String,
}

impl Figure {
    fn new(bytes: u64) -> Self {
        let Bytes { human, exact } = Bytes::new(bytes);
        Self { human, exact, raw: bytes.to_string() }
    }
}

/// Renders the summary.
///
/// # Errors
/// If a template that the operator changed does not fit these values.
pub fn summary(templates: &Templates, report: &MonthlyReport, language: Language) -> Result<LetterText, TemplateError> {
    let words = templates.words(language);
    let page = view(report, language, words, MAX_ROWS_IN_HTML);
    let list = view(report, language, words, MAX_ROWS_IN_TEXT);
    let is_incomplete = report.state == Finality::Provisional || report.nodes.iter().any(|node| node.why.is_some());
    let key = match report.state {
        Finality::InProgress => "summary_subject_in_progress",
        Finality::Provisional | Finality::Final if is_incomplete => "summary_subject_incomplete",
        Finality::Provisional | Finality::Final => "summary_subject",
    };
    let values =
        [("period", page.period.clone()), ("billed", page.total.human.clone()), ("users", page.users.to_string())];
    Ok(LetterText {
        subject: words.say(key, &values),
        text: templates.fill("summary.txt", language, &list)?,
        html: templates.fill("summary.html", language, &page)?,
    })
}

/// The month with its busiest users, at most `max_rows` of them.
pub(super) fn view(report: &MonthlyReport, language: Language, words: &Words, max_rows: usize) -> View {
    let mut ranked: Vec<&Statement> = report.statements.iter().collect();
    // Unassigned ports, which nobody pays for, come in a section of their own below the users.
    ranked.sort_by_key(|statement| (statement.user.is_none(), std::cmp::Reverse(statement.billed_bytes)));
    let first_unassigned = ranked.iter().position(|statement| statement.user.is_none());
    let users = report.statements.iter().filter(|statement| statement.user.is_some()).count();
    View {
        language: language.tag(),
        period: dates::period(language, report.first_day, report.last_day),
        state: report.state,
        provisional_count: provisional_count(report, language, words),
        rev: report.rev,
        billed_rule: rule(report.billed, words),
        total: Bytes::new(report.total().bytes()),
        coverage: view::coverage(report.coverage, words),
        users,
        unassigned: report.statements.len() - users,
        money: money(report, language),
        nodes: report.nodes.iter().map(|statement| node(statement, language, words)).collect(),
        page: format!("reports/{}/report.html", report.month),
        csv: format!("reports/{}/{}", report.month, csv_name(report)),
        omitted: ranked.len().saturating_sub(max_rows),
        rows: (0..)
            .zip(ranked.into_iter().take(max_rows))
            .map(|(index, statement)| Row {
                starts_unassigned: first_unassigned == Some(index),
                ..row(report, statement, language)
            })
            .collect(),
        remarks: remarks::of_report(report, report.state, language, words, Reader::Operator, |_| true),
    }
}

fn node(node: &NodeStatement, language: Language, words: &Words) -> Node {
    Node {
        name: node.name.clone(),
        state: node.state,
        why: node.why.as_deref().map(reasons::printable),
        days: days(node, language, words),
        coverage: coverage(node.coverage),
        bytes: Bytes::new(node.total.bytes()),
    }
}

/// The days that a node lacks, and those that may still grow; `None` if there are none.
fn days(node: &NodeStatement, language: Language, words: &Words) -> Option<String> {
    let say = |key: &str, days: &[chrono::NaiveDate]| {
        let count = match days.len() {
            0 => return None,
            1 => words.say("day_count_1", &[]),
            many => words.say("day_count", &[("count", many.to_string())]),
        };
        Some(words.say(key, &[("count", count), ("days", dates::runs(language, days))]))
    };
    let parts = [say("node_days_missing", &node.days_missing), say("node_days_growing", &node.days_growing)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(&words.say("comma", &[])))
}

fn provisional_count(report: &MonthlyReport, language: Language, words: &Words) -> Option<String> {
    let is_provisional = |statement: &&Statement| report.state_of(statement) == Finality::Provisional;
    let values = [
        ("count", report.statements.iter().filter(is_provisional).count().to_string()),
        ("all", report.statements.len().to_string()),
        ("date", dates::full(language, report.final_on()?)),
    ];
    Some(words.say("provisional_count", &values))
}

fn row(report: &MonthlyReport, statement: &Statement, language: Language) -> Row {
    let billed = statement.billed_bytes;
    let raw = |part: u64, of: Option<u64>| {
        let of = of.filter(|of| *of > 0);
        of.map(|of| (u128::from(part) * 1_000 / u128::from(of)).to_string()).unwrap_or_default()
    };
    let money = amount(statement);
    Row {
        name: name(statement),
        starts_unassigned: false,
        billed: Figure::new(billed),
        input: Figure::new(statement.total.in_bytes()),
        output: Figure::new(statement.total.out_bytes()),
        quota: statement.quota_bytes.map(|quota| numbers::percent(statement.used_bytes(), quota, 1)),
        is_over: statement.quota_bytes.is_some_and(|quota| statement.used_bytes() > quota),
        quota_raw: raw(statement.used_bytes(), statement.quota_bytes),
        money: money.map(|money| numbers::money(language, money)),
        money_raw: money.map(|money| money.amount.to_string()).unwrap_or_default(),
        change: statement.billed_bytes_before.and_then(|before| numbers::change(before, billed)),
        change_raw: raw(billed, statement.billed_bytes_before),
        rev: statement.rev,
        is_provisional: report.state_of(statement) == Finality::Provisional,
        spark: chart::spark(&statement.days),
    }
}

/// What somebody pays for a statement: nobody pays for ports that belong to no user.
fn amount(statement: &Statement) -> Option<&Money> {
    statement.money.as_ref().filter(|_| statement.user.is_some())
}

/// The sum of all users' amounts, each of which is already rounded.
fn money(report: &MonthlyReport, language: Language) -> Option<String> {
    let currency = report.price.as_ref()?.currency.clone();
    let mut amounts = report.statements.iter().filter_map(amount);
    let amount = amounts.try_fold(rust_decimal::Decimal::ZERO, |sum, money| sum.checked_add(money.amount))?;
    Some(numbers::money(language, &Money { amount, currency }))
}

fn name(statement: &Statement) -> String {
    statement.user.clone().unwrap_or_else(|| format!(":{}", numbers::ports(&statement.ports)))
}

/// `99.98 %`
pub fn coverage(coverage: Coverage) -> String {
    numbers::percent(coverage.seconds_covered, coverage.seconds, 2)
}

/// The name of the file with the figures of a month: `flow-agent-2026-10.csv`.
pub fn csv_name(report: &MonthlyReport) -> String {
    format!("flow-agent-{}.csv", report.month)
}

/// All statements, one per line. The text begins with a byte order mark: without it, spreadsheets misread UTF-8, and
/// garble names that are not ASCII.
pub fn csv(report: &MonthlyReport) -> String {
    let mut writer = csv::Writer::from_writer("\u{feff}".as_bytes().to_vec());
    let header = [
        "month",
        "user",
        "ports",
        "billed_bytes",
        "in_bytes",
        "out_bytes",
        "tcp_in_bytes",
        "tcp_out_bytes",
        "udp_in_bytes",
        "udp_out_bytes",
        "quota_bytes",
        "amount",
        "currency",
        "billed_bytes_before",
        "revision",
        "state",
    ];
    writer.write_record(header).expect("writing to memory cannot fail");
    for statement in &report.statements {
        let total = statement.total;
        let optional = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let money = amount(statement);
        let record = [
            report.month.to_string(),
            inert(statement.user.as_deref().unwrap_or_default()),
            statement.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" "),
            statement.billed_bytes.to_string(),
            total.in_bytes().to_string(),
            total.out_bytes().to_string(),
            total.tcp_in_bytes.to_string(),
            total.tcp_out_bytes.to_string(),
            total.udp_in_bytes.to_string(),
            total.udp_out_bytes.to_string(),
            optional(statement.quota_bytes),
            money.map(|money| money.amount.to_string()).unwrap_or_default(),
            money.map(|money| money.currency.clone()).unwrap_or_default(),
            optional(statement.billed_bytes_before),
            statement.rev.to_string(),
            state_name(report.state_of(statement)).to_owned(),
        ];
        writer.write_record(record).expect("every record has the fields of the header");
    }
    let bytes = writer.into_inner().expect("writing to memory cannot fail");
    String::from_utf8(bytes).expect("what was written was text")
}

fn state_name(state: Finality) -> &'static str {
    match state {
        Finality::InProgress => "in progress",
        Finality::Provisional => "provisional",
        Finality::Final => "final",
    }
}

/// Spreadsheets take a field that begins with one of these characters for a formula; a leading quote makes it text.
pub(super) fn inert(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
