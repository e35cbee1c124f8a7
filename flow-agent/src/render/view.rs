//! What a statement's letter shows, ready to be laid out: every figure in words, every bar in percent.

use std::collections::BTreeSet;

use chrono::{Days, Months};
use serde::Serialize;

use super::words::Words;
use super::{dates, numbers, remarks};
use crate::ledger::billing::Billed;
use crate::ledger::counters::Counters;
use crate::ledger::language::Language;
use crate::ledger::statement::{MonthlyReport, NodeState, NodeStatement, Said, State, Statement};
use crate::ledger::units::{Human, Written};

/// How many of the busiest days are named.
const BUSIEST: usize = 5;

/// A statement, laid out.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub(super) language: &'static str,
    pub(super) period: String,
    pub(super) user: String,
    pub(super) ports: String,
    pub(super) state: State,
    /// Of a provisional statement: from which day on it is final if nothing comes.
    pub(super) final_if_nothing: Option<String>,
    pub(super) rev: u32,
    /// What was said before, where this letter corrects it.
    pub(super) correction: Option<Correction>,
    pub(super) billed: Bytes,
    pub(super) billed_rule: String,
    pub(super) money: Option<String>,
    pub(super) price: Option<String>,
    pub(super) quota: Option<Quota>,
    pub(super) before: Option<Before>,
    /// TCP, UDP, and both.
    pub(super) rows: Vec<Row>,
    pub(super) nodes: Vec<Row>,
    /// Columns that the longest of their names takes on a terminal.
    pub(super) name_width: usize,
    pub(super) days: Vec<Day>,
    /// Whether something is missing of one of them.
    pub(super) has_partial_days: bool,
    pub(super) busiest: Vec<Day>,
    pub(super) zone: &'static str,
    pub(super) coverage: String,
    pub(super) remarks: Vec<String>,
}

/// A number of bytes, for people and to the byte.
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
    /// As it was written in the configuration.
    pub(super) of: Bytes,
    pub(super) used: String,
    /// 0 to 100.
    pub(super) bar: u64,
    pub(super) is_over: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Before {
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
    /// Of a node: how much of the month was seen of it.
    pub(super) coverage: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Day {
    pub(super) label: String,
    pub(super) is_weekend: bool,
    /// Something of it is missing: it was at least this.
    pub(super) is_partial: bool,
    /// It has not begun.
    pub(super) is_ahead: bool,
    pub(super) input: Bytes,
    pub(super) output: Bytes,
    pub(super) both: Bytes,
    /// Of the busiest day, 0 to 100; what is not zero is at least one.
    pub(super) bar: u64,
    pub(super) bar_in: u64,
    pub(super) bar_out: u64,
}

/// Lays out a statement. `told` is what its user was told last, where that was something else.
pub(super) fn view(
    report: &MonthlyReport,
    statement: &Statement,
    told: Option<&Said>,
    language: Language,
    words: &Words,
) -> View {
    let billed = statement.billed_bytes;
    let state = report.state_of(statement);
    let days = days(report, statement, language);
    let (rows, nodes) = (rows(statement.total, words), nodes(report, statement));
    let names = rows.iter().chain(&nodes).map(|row| row.name.as_str());
    let heads = ["protocol", "node"].map(|key| words.say(key, &[]));
    let name_width = names.chain(heads.iter().map(String::as_str)).map(numbers::width).max().unwrap_or(0);
    let mut busiest: Vec<(u64, &Day)> =
        statement.days.iter().map(|day| day.0.saturating_add(day.1)).zip(&days).collect();
    busiest.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    View {
        language: language.tag(),
        period: dates::period(language, report.first_day, report.last_day),
        user: statement.user.clone().unwrap_or_default(),
        ports: numbers::ports(&statement.ports),
        state,
        final_if_nothing: report
            .final_on()
            .filter(|_| state == State::Provisional)
            .map(|day| words.say("final_if_nothing", &[("date", dates::full(language, day))])),
        rev: statement.rev,
        correction: told.map(|said| correction(said, statement)),
        billed: Bytes::new(billed),
        billed_rule: rule(report.billed, words),
        money: statement.money.as_ref().map(|money| format!("{} {}", money.amount, money.currency)),
        price: report.price.as_ref().map(|price| {
            let per = Written(price.per).to_string();
            let per = per.strip_prefix("1 ").unwrap_or(&per).to_owned();
            words.say("price", &[("amount", format!("{} {}", price.amount, price.currency)), ("per", per)])
        }),
        quota: statement.quota_bytes.map(|quota| Quota {
            of: Bytes { human: quota_in_words(quota), ..Bytes::new(quota) },
            used: numbers::percent(billed, quota, 1),
            bar: share(billed, quota).min(100),
            is_over: billed > quota,
        }),
        before: statement.billed_bytes_before.map(|before| Before {
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
        days,
        zone: report.zone.name(),
        coverage: numbers::percent(report.coverage.seconds_covered, report.coverage.seconds, 2),
        remarks: remarks::of_report(report, state, language, words, |node| concerns(node, statement)),
    }
}

/// Whether what is not known of a node may be about this statement.
fn concerns(node: &NodeStatement, statement: &Statement) -> bool {
    statement.by_node.contains_key(&node.name) || statement.open_nodes.contains(&node.name)
}

fn period_before(report: &MonthlyReport, language: Language) -> String {
    // Months begin on the 28th at the latest.
    let first = report.first_day - Months::new(1);
    dates::period(language, first, report.first_day - Days::new(1))
}

/// `500 GiB`; what was written in decimal units also in those of all other figures: `500 GB (465.66 GiB)`.
fn quota_in_words(quota: u64) -> String {
    let (written, human) = (Written(quota).to_string(), Human(quota.into()).to_string());
    let is_decimal = !written.ends_with("iB") && quota >= 1 << 10;
    if is_decimal { format!("{written} ({human})") } else { written }
}

fn correction(said: &Said, statement: &Statement) -> Correction {
    let billed = statement.billed_bytes;
    let (sign, difference) = match billed.checked_sub(said.billed_bytes) {
        Some(more) => ('+', more),
        None => ('−', said.billed_bytes - billed),
    };
    let difference = Bytes::new(difference);
    Correction {
        was: Bytes::new(said.billed_bytes),
        money: said.money.as_ref().map(|money| format!("{} {}", money.amount, money.currency)),
        difference_money: money_difference(said, statement),
        difference: format!("{sign}{}", difference.human),
        difference_exact: format!("{sign}{}", difference.exact),
        at: remarks::moment(said.at),
    }
}

/// What the bill changed by; nothing where both amounts are not of one currency.
fn money_difference(said: &Said, statement: &Statement) -> Option<String> {
    let (was, now) = (said.money.as_ref()?, statement.money.as_ref()?);
    let difference = now.amount.checked_sub(was.amount).filter(|_| was.currency == now.currency)?;
    let sign = if difference.is_sign_negative() { '−' } else { '+' };
    Some(format!("{sign}{} {}", difference.abs(), now.currency))
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
            let counters = statement.by_node.get(&node.name).copied().unwrap_or_default();
            row(node.name.clone(), counters, Some(coverage(node)))
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
    }
}

fn days(report: &MonthlyReport, statement: &Statement, language: Language) -> Vec<Day> {
    use chrono::Datelike as _;
    let most = statement.days.iter().map(|day| day.0.saturating_add(day.1)).max().unwrap_or(0);
    let dates = report.first_day.iter_days();
    let last = report.made_at.date_naive();
    let partial = partial_days(report, |node| concerns(node, statement));
    let day = |(date, (input, output)): (chrono::NaiveDate, &(u64, u64))| {
        let both = input.saturating_add(*output);
        let bar = share(both, most);
        let bar_in = if both == 0 { 0 } else { share(*input, most).min(bar) };
        Day {
            label: dates::short(language, date),
            is_weekend: date.weekday().number_from_monday() > 5,
            is_partial: partial.contains(&date),
            is_ahead: report.state == State::InProgress && date > last,
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

/// The days of which a node that has others has nothing, or may have more. Where it has nothing at all, every day would be
/// one.
pub(super) fn partial_days(
    report: &MonthlyReport,
    concerns: impl Fn(&NodeStatement) -> bool,
) -> BTreeSet<chrono::NaiveDate> {
    let nodes = report.nodes.iter().filter(|node| node.state != NodeState::Missing && concerns(node));
    nodes.flat_map(|node| node.days_missing.iter().chain(&node.days_growing).copied()).collect()
}

/// In percent; what is not zero is at least one.
pub(super) fn share(part: u64, whole: u64) -> u64 {
    if part == 0 || whole == 0 {
        return 0;
    }
    u64::try_from(u128::from(part) * 100 / u128::from(whole)).unwrap_or(u64::MAX).max(1)
}
