//! What is not known about a month, in words.

use chrono::{DateTime, FixedOffset};

use super::words::Words;
use super::{dates, numbers};
use crate::ledger::language::Language;
use crate::ledger::record::{Gap, Quality};
use crate::ledger::statement::{MonthlyReport, NodeState, NodeStatement, State};
use crate::ledger::units::Human;

/// More gaps of a node than these are counted, not told one by one.
const GAPS_TOLD: usize = 5;

/// One sentence each, about the nodes that `concerns` names, for figures that are in this `state`.
pub(super) fn of_report(
    report: &MonthlyReport,
    state: State,
    language: Language,
    words: &Words,
    concerns: impl Fn(&NodeStatement) -> bool,
) -> Vec<String> {
    let mut remarks = Vec::new();
    match state {
        State::InProgress => remarks.push(words.say("in_progress_until", &[("at", moment(report.made_at))])),
        State::Provisional => remarks.push(words.say("provisional_why", &[])),
        State::Final => {}
    }
    for node in report.nodes.iter().filter(|node| concerns(node)) {
        of_node(node, language, words, &mut remarks);
    }
    remarks
}

/// What is not known of one node.
pub(super) fn of_node(node: &NodeStatement, language: Language, words: &Words, remarks: &mut Vec<String>) {
    let name = || ("node", node.name.clone());
    if node.state == NodeState::Missing {
        remarks.push(words.say("node_missing", &[name()]));
        return;
    }
    if !node.days_missing.is_empty() {
        let days = dates::runs(language, &node.days_missing);
        remarks.push(words.say("days_missing", &[name(), ("days", days)]));
    }
    if !node.days_growing.is_empty() {
        let days = dates::runs(language, &node.days_growing);
        remarks.push(words.say("days_growing", &[name(), ("days", days)]));
    }
    for correction in &node.corrections {
        let values = [
            name(),
            ("day", dates::short(language, correction.day)),
            ("before", numbers::duration(language, correction.seconds_covered_before.into())),
            ("now", numbers::duration(language, correction.seconds_covered.into())),
        ];
        remarks.push(words.say("day_corrected", &values));
    }
    if !node.days_refused.is_empty() {
        let days = dates::runs(language, &node.days_refused);
        remarks.push(words.say("days_refused", &[name(), ("days", days)]));
    }
    let (covered, all) = (node.coverage.seconds_covered, node.coverage.seconds);
    if covered < all && node.days_missing.is_empty() {
        let seconds = numbers::grouped(u128::from(all - covered));
        let percent = numbers::percent(covered, all, 2);
        let time = numbers::duration(language, all - covered);
        let values = [name(), ("percent", percent), ("time", time), ("seconds", seconds)];
        remarks.push(words.say("not_all_seen", &values));
    }
    for gap in node.gaps.iter().take(GAPS_TOLD) {
        remarks.push(of_gap(node, gap, words));
    }
    let untold = node.gaps.len().saturating_sub(GAPS_TOLD) as u64 + node.gaps_omitted;
    if untold > 0 {
        remarks.push(words.say("more_gaps", &[name(), ("count", untold.to_string())]));
    }
    for (quality, key) in [
        (Quality::Reset, "resets"),
        (Quality::Restart, "restarts"),
        (Quality::Clock, "clocks"),
        (Quality::Import, "imports"),
    ] {
        if let Some(count) = node.quality.get(&quality) {
            remarks.push(words.say(key, &[name(), ("count", count.to_string())]));
        }
    }
    if let Some(late) = &node.late {
        let values = [
            name(),
            ("start", moment(late.start)),
            ("end", moment(late.end)),
            ("span", span(late.start, late.end)),
            ("bytes", Human(late.bytes.into()).to_string()),
        ];
        remarks.push(words.say("late", &values));
    }
    if let Some(zone) = &node.other_zone {
        remarks.push(words.say("other_zone", &[name(), ("zone", zone.clone())]));
    }
}

/// What the gap of a bucket that is not there is called in the logs; one that was rejected says why.
const NO_BUCKET: &str = "no bucket";

fn of_gap(node: &NodeStatement, gap: &Gap, words: &Words) -> String {
    let why = if gap.why == NO_BUCKET { words.say("no_record", &[]) } else { harmless(&gap.why) };
    let values = [
        ("node", node.name.clone()),
        ("start", moment(gap.start)),
        ("end", moment(gap.end)),
        ("span", span(gap.start, gap.end)),
        ("interface", harmless(&gap.interface)),
        ("why", why),
    ];
    // Of no interface, for there is no bucket: all of them.
    words.say(if gap.interface == Gap::EVERY_INTERFACE { "gap_of_all" } else { "gap" }, &values)
}

/// The words of a node, which are not checked like names are.
pub(super) fn harmless(text: &str) -> String {
    let keep = |c: char| crate::ledger::name::hidden(c.encode_utf8(&mut [0; 4])).is_none();
    text.chars().filter(|c| keep(*c)).take(200).collect()
}

/// `2026-10-05 13:00:00 – 13:10:00 +08:00`; over a day's edge or a change of the zone's offset each end in full.
fn span(start: DateTime<FixedOffset>, end: DateTime<FixedOffset>) -> String {
    let is_one_day = start.date_naive() == end.date_naive() && start.offset() == end.offset();
    let until = if is_one_day { end.format("%H:%M:%S %:z").to_string() } else { moment(end) };
    let from = if is_one_day { start.format("%Y-%m-%d %H:%M:%S").to_string() } else { moment(start) };
    format!("{from} – {until}")
}

/// `2026-10-05 13:00:00 +08:00`
pub(super) fn moment(at: DateTime<FixedOffset>) -> String {
    at.format("%Y-%m-%d %H:%M:%S %:z").to_string()
}
