//! The values for the templates of letters: every figure as text, every bar in percent.

use std::collections::BTreeSet;

use chrono::{Days, Months, NaiveDate};
use rust_decimal::Decimal;
use serde::Serialize;

use super::reasons::Reader;
use super::words::Words;
use super::{dates, numbers, remarks};
use crate::ledger::billing::{Billed, Money, Price};
use crate::ledger::counters::Counters;
use crate::ledger::language::Language;
use crate::ledger::statement::{Coverage, Finality, MonthlyReport, NodeState, NodeStatement, PriorRevision, Statement};
use crate::ledger::units::{Human, Written};

/// How many of the busiest days are named.
const BUSIEST: usize = 5;

/// At least this many consecutive days without a byte, all known or all unknown, are combined into one line.
const MIN_FOLDED_DAYS: usize = 4;

/// The values for the letter about one statement.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub(super) language: &'static str,
    pub(super) period: String,
    pub(super) user: String,
    pub(super) ports: String,
    pub(super) state: Finality,
    /// For a provisional statement: the day on which it becomes final if no more data arrives.
    pub(super) final_if_nothing: Option<String>,
    pub(super) rev: u32,
    /// The figures of the previous letter, if this one corrects it.
    pub(super) correction: Option<Correction>,
    pub(super) billed: Bytes,
    pub(super) billed_rule: String,
    pub(super) money: Option<String>,
    pub(super) price: Option<String>,
    pub(super) quota: Option<Quota>,
    pub(super) before: Option<FormerFigures>,
    /// TCP, UDP and their sum.
    pub(super) rows: Vec<Row>,
    pub(super) nodes: Vec<Row>,
    /// The number of columns that the longest name takes on a terminal.
    pub(super) name_width: usize,
    /// Consecutive days without traffic share an entry.
    pub(super) days: Vec<Day>,
    /// The number of columns that the longest label of a day takes on a terminal.
    pub(super) day_width: usize,
    /// Whether data is missing for one of the days.
    pub(super) has_partial_days: bool,
    pub(super) busiest: Vec<Day>,
    pub(super) zone: &'static str,
    /// Of the nodes that concern the statement.
    pub(super) coverage: String,
    /// Whether at least one node concerns the statement, and all of those measured the whole month.
    pub(super) is_whole: bool,
    pub(super) remarks: Vec<String>,
}

/// A number of bytes, rounded for people and exact.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Bytes {
    pub(super) human: String,
    pub(super) exact: String,
}

impl Bytes {
    pub(super) fn new(bytes: u64) -> Self {
        Self { human: Human(bytes.into()).to_string(), exact: numbers::grouped(bytes.into()) }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Correction {
    pub(super) was: Bytes,
    pub(super) money: Option<String>,
    /// `+1.00 GiB`
    pub(super) difference: String,
    pub(super) difference_exact: String,
    /// `+0.10 CNY`
    pub(super) difference_money: Option<String>,
    pub(super) at: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Quota {
    /// In the units in which it is configured.
    pub(super) of: Bytes,
    pub(super) used: String,
    /// 0 to 100.
    pub(super) bar: u64,
    pub(super) is_over: bool,
    /// The part that was granted for this month alone.
    pub(super) granted: Option<Bytes>,
    /// What was used before flow-agent began to count.
    pub(super) used_before: Option<Bytes>,
}

#[derive(Debug, Serialize)]
pub(super) struct FormerFigures {
    pub(super) period: String,
    pub(super) bytes: Bytes,
    pub(super) change: Option<String>,
}

/// A line of a table.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) input: Bytes,
    pub(super) output: Bytes,
    pub(super) both: Bytes,
    /// For a node: how much of the month was measured on it.
    pub(super) coverage: Option<String>,
    /// There is no data at all from this node, so its zeros mean nothing.
    pub(super) is_unknown: bool,
    /// Days of this node are missing or may still grow, so that its figures are a lower bound.
    pub(super) is_partial: bool,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Day {
    pub(super) label: String,
    pub(super) is_weekend: bool,
    /// Data is missing for this day, so the figures are a lower bound.
    pub(super) is_partial: bool,
    /// The day has not begun yet.
    pub(super) is_ahead: bool,
    #[serde(skip)]
    has_no_bytes: bool,
    pub(super) input: Bytes,
    pub(super) output: Bytes,
    pub(super) both: Bytes,
    /// In percent of the busiest day, 0 to 100; at least 1 for a day with traffic.
    pub(super) bar: u64,
    pub(super) bar_in: u64,
    pub(super) bar_out: u64,
}

/// The values for the letter about `statement`. `prior` is the revision that its user received before, if this letter
/// corrects it.
pub(super) fn view(
    report: &MonthlyReport,
    statement: &Statement,
    prior: Option<&PriorRevision>,
    language: Language,
    words: &Words,
) -> View {
    let billed = statement.billed_bytes;
    let state = report.state_of(statement);
    let days = days(report, statement, language);
    let period = dates::period(language, report.first_day, report.last_day);
    let (rows, nodes) = (rows(statement.total, words), nodes(report, statement));
    let names = rows.iter().chain(&nodes).map(|row| row.name.as_str());
    let heads = ["protocol", "node"].map(|key| words.say(key, &[]));
    let name_width = names.chain(heads.iter().map(String::as_str)).map(numbers::width).max().unwrap_or(0);
    let mut busiest: Vec<(u64, &Day)> =
        statement.days.iter().map(|day| day.0.saturating_add(day.1)).zip(&days).collect();
    busiest.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let folded = folded(&days, report.first_day, language);
    let measured = measured(report, statement);
    let mut remarks =
        remarks::of_report(report, state, language, words, Reader::Customer, |node| concerns(node, statement));
    if nodes.is_empty() {
        remarks.push(words.say("not_counted", &[]));
    }
    View {
        language: language.tag(),
        period,
        user: statement.user.clone().unwrap_or_default(),
        ports: numbers::ports(&statement.ports),
        state,
        final_if_nothing: report
            .final_on()
            .filter(|_| state == Finality::Provisional)
            .map(|day| words.say("final_if_nothing", &[("date", dates::full(language, day))])),
        rev: statement.rev,
        correction: prior.map(|prior| correction(prior, statement, language)),
        billed: Bytes::new(billed),
        billed_rule: rule(report.billed, words),
        money: statement.money.as_ref().map(|money| numbers::money(language, money)),
        price: report.price.as_ref().map(|price| {
            let per = Written(price.per).to_string();
            let per = per.strip_prefix("1 ").unwrap_or(&per).to_owned();
            let amount = Money { amount: price.amount, currency: price.currency.clone() };
            let amount = numbers::money(language, &amount);
            words.say("price", &[("amount", amount), ("per", per), ("unit", smallest_unit(price, language, words))])
        }),
        quota: statement.quota_bytes.map(|quota| Quota {
            of: Bytes { human: quota_in_words(quota), ..Bytes::new(quota) },
            used: numbers::percent(statement.used_bytes(), quota, 1),
            bar: share(statement.used_bytes(), quota).min(100),
            is_over: statement.used_bytes() > quota,
            granted: bytes_if_any(statement.granted_bytes),
            used_before: bytes_if_any(statement.used_before_bytes),
        }),
        before: statement.billed_bytes_before.map(|before| FormerFigures {
            period: period_before(report, language),
            bytes: Bytes::new(before),
            change: numbers::change(before, billed),
        }),
        rows,
        nodes,
        name_width,
        has_partial_days: days.iter().any(|day| day.is_partial),
        busiest: busiest
            .into_iter()
            .filter(|(bytes, _)| *bytes > 0)
            .take(BUSIEST)
            .map(|(_, day)| day.clone())
            .collect(),
        day_width: folded.iter().map(|day| numbers::width(&day.label)).max().unwrap_or(0),
        days: folded,
        zone: report.zone.name(),
        coverage: coverage(measured, words),
        is_whole: measured.seconds > 0 && measured.seconds_covered == measured.seconds,
        remarks,
    }
}

/// Whether a gap of this node may affect this statement.
fn concerns(node: &NodeStatement, statement: &Statement) -> bool {
    statement.by_node.contains(&node.name) || statement.open_nodes.contains(&node.name)
}

fn period_before(report: &MonthlyReport, language: Language) -> String {
    // A billing month begins on the 28th at the latest, so the same day exists in every month.
    let first = report.first_day - Months::new(1);
    dates::period(language, first, report.first_day - Days::new(1))
}

fn bytes_if_any(bytes: u64) -> Option<Bytes> {
    (bytes > 0).then(|| Bytes { human: quota_in_words(bytes), ..Bytes::new(bytes) })
}

/// `500 GiB`. A quota configured in decimal units is also shown in binary ones, which all other figures use:
/// `500 GB (465.66 GiB)`.
pub(super) fn quota_in_words(quota: u64) -> String {
    let (written, human) = (Written(quota).to_string(), Human(quota.into()).to_string());
    let is_decimal = !written.ends_with("iB") && quota >= 1 << 10;
    if is_decimal { format!("{written} ({human})") } else { written }
}

fn correction(prior: &PriorRevision, statement: &Statement, language: Language) -> Correction {
    let billed = statement.billed_bytes;
    let (sign, difference) = match billed.checked_sub(prior.billed_bytes) {
        Some(more) => ('+', more),
        None => ('−', prior.billed_bytes - billed),
    };
    let difference = Bytes::new(difference);
    Correction {
        was: Bytes::new(prior.billed_bytes),
        money: prior.money.as_ref().map(|money| numbers::money(language, money)),
        difference_money: money_difference(prior, statement, language),
        difference: format!("{sign}{}", difference.human),
        difference_exact: format!("{sign}{}", difference.exact),
        at: dates::instant(language, prior.at),
    }
}

/// By how much the bill changed; `None` if the two amounts are in different currencies.
fn money_difference(prior: &PriorRevision, statement: &Statement, language: Language) -> Option<String> {
    let (was, now) = (prior.money.as_ref()?, statement.money.as_ref()?);
    let difference = now.amount.checked_sub(was.amount).filter(|_| was.currency == now.currency)?;
    let sign = if difference.is_sign_negative() { '−' } else { '+' };
    let difference = Money { amount: difference.abs(), currency: now.currency.clone() };
    Some(format!("{sign}{}", numbers::money(language, &difference)))
}

/// What amounts are rounded to: the cent, or the smallest unit of another currency (`1 JPY`, `0.001 KWD`).
fn smallest_unit(price: &Price, language: Language, words: &Words) -> String {
    let digits = price.minor_digits();
    if digits == 2 {
        return words.say("unit_cent", &[]);
    }
    numbers::money(language, &Money { amount: Decimal::new(1, digits), currency: price.currency.clone() })
}

/// How much of the month the nodes that concern the statement have measured.
fn measured(report: &MonthlyReport, statement: &Statement) -> Coverage {
    let nodes = report.nodes.iter().filter(|node| concerns(node, statement));
    nodes.fold(Coverage::default(), |sum, node| Coverage {
        seconds_covered: sum.seconds_covered + node.coverage.seconds_covered,
        seconds: sum.seconds + node.coverage.seconds,
    })
}

/// The coverage of some nodes as a text: `96.76 % of the month`.
pub(super) fn coverage(coverage: Coverage, words: &Words) -> String {
    let percent = numbers::percent(coverage.seconds_covered, coverage.seconds, 2);
    words.say("coverage_of_month", &[("percent", percent)])
}

pub(super) fn rule(billed: Billed, words: &Words) -> String {
    let key = match billed {
        Billed::Both => "billed_both",
        Billed::Out => "billed_out",
        Billed::In => "billed_in",
        Billed::Max => "billed_max",
    };
    words.say(key, &[])
}

fn rows(total: Counters, words: &Words) -> Vec<Row> {
    let tcp = Counters { udp_in_bytes: 0, udp_out_bytes: 0, ..total };
    let udp = Counters { tcp_in_bytes: 0, tcp_out_bytes: 0, ..total };
    let all = words.say("total", &[]);
    vec![row("TCP".to_owned(), tcp, None), row("UDP".to_owned(), udp, None), row(all, total, None)]
}

fn nodes(report: &MonthlyReport, statement: &Statement) -> Vec<Row> {
    let coverage = |node: &NodeStatement| numbers::percent(node.coverage.seconds_covered, node.coverage.seconds, 2);
    let nodes = report.nodes.iter().filter(|node| concerns(node, statement));
    nodes
        .map(|node| {
            let counters = statement.by_node.get(&node.name).unwrap_or_default();
            Row {
                is_unknown: node.state == NodeState::Missing,
                is_partial: !node.days_missing.is_empty() || !node.days_growing.is_empty(),
                ..row(node.name.clone(), counters, Some(coverage(node)))
            }
        })
        .collect()
}

fn row(name: String, counters: Counters, coverage: Option<String>) -> Row {
    Row {
        name,
        input: Bytes::new(counters.in_bytes()),
        output: Bytes::new(counters.out_bytes()),
        both: Bytes::new(counters.bytes()),
        coverage,
        is_unknown: false,
        is_partial: false,
    }
}

fn days(report: &MonthlyReport, statement: &Statement, language: Language) -> Vec<Day> {
    use chrono::Datelike as _;
    let most = statement.days.iter().map(|day| day.0.saturating_add(day.1)).max().unwrap_or(0);
    let dates = report.first_day.iter_days();
    let last = report.made_at.date_naive();
    let partial = partial_days(report, |node| concerns(node, statement));
    let day = |(date, (input, output)): (NaiveDate, &(u64, u64))| {
        let both = input.saturating_add(*output);
        let bar = share(both, most);
        let bar_in = if both == 0 { 0 } else { share(*input, most).min(bar) };
        Day {
            label: dates::short(language, date),
            is_weekend: date.weekday().number_from_monday() > 5,
            is_partial: partial.contains(&date),
            is_ahead: report.state == Finality::InProgress && date > last,
            has_no_bytes: both == 0,
            input: Bytes::new(*input),
            output: Bytes::new(*output),
            both: Bytes::new(both),
            bar,
            bar_in,
            bar_out: bar - bar_in,
        }
    };
    dates.zip(&statement.days).map(day).collect()
}

/// `days` with each long run of days without a byte combined into one entry. Otherwise a month that is a few days old
/// would be a list of zeros.
fn folded(days: &[Day], first_day: NaiveDate, language: Language) -> Vec<Day> {
    let is_like =
        |a: &Day, b: &Day| a.has_no_bytes && b.has_no_bytes && (a.is_partial, a.is_ahead) == (b.is_partial, b.is_ahead);
    let mut folded = Vec::new();
    let mut dates = first_day.iter_days();
    for run in days.chunk_by(is_like) {
        let dates: Vec<NaiveDate> = dates.by_ref().take(run.len()).collect();
        match (run, &dates[..]) {
            ([day, ..], [first, .., last]) if run.len() >= MIN_FOLDED_DAYS => {
                folded.push(Day { label: dates::span(language, *first, *last), is_weekend: false, ..day.clone() });
            }
            _ => folded.extend_from_slice(run),
        }
    }
    folded
}

/// The days for which a node has no data or may still send more. A node without any data in the month is left out,
/// because it would make every day partial.
pub(super) fn partial_days(report: &MonthlyReport, concerns: impl Fn(&NodeStatement) -> bool) -> BTreeSet<NaiveDate> {
    let nodes = report.nodes.iter().filter(|node| node.state != NodeState::Missing && concerns(node));
    nodes.flat_map(|node| node.days_missing.iter().chain(&node.days_growing).copied()).collect()
}

/// `part` in percent of `whole`, at least 1 unless `part` is zero.
pub(super) fn share(part: u64, whole: u64) -> u64 {
    if part == 0 || whole == 0 {
        return 0;
    }
    u64::try_from(u128::from(part) * 100 / u128::from(whole)).unwrap_or(u64::MAX).max(1)
}
