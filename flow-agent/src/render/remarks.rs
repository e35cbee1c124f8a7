//! What is missing or uncertain in the figures of a month, in sentences.

use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;

use super::reasons::{Reader, reason};
use super::words::Words;
use super::{dates, numbers};
use crate::ledger::language::Language;
use crate::ledger::record::{Gap, Quality};
use crate::ledger::statement::{Finality, MonthlyReport, NodeState, NodeStatement};
use crate::ledger::units::Human;

/// How many gaps of a node are listed; further ones are only counted.
const MAX_LISTED_GAPS: usize = 5;

/// One sentence for each remark about the nodes that `concerns` selects, for `reader`. `state` is that of the figures to
/// which the remarks belong.
pub(super) fn of_report(
    report: &MonthlyReport,
    state: Finality,
    language: Language,
    words: &Words,
    reader: Reader,
    concerns: impl Fn(&NodeStatement) -> bool,
) -> Vec<String> {
    let mut remarks = Vec::new();
    match state {
        Finality::InProgress => {
            remarks.push(words.say("in_progress_until", &[("at", dates::instant(language, report.made_at))]))
        }
        Finality::Provisional => remarks.push(words.say("provisional_why", &[])),
        Finality::Final => {}
    }
    for node in report.nodes.iter().filter(|node| concerns(node)) {
        NodeRemarks { node, zone: report.zone, language, words, reader, remarks: &mut remarks }.write();
    }
    remarks
}

/// Writes the remarks about one node.
struct NodeRemarks<'a> {
    node: &'a NodeStatement,
    /// The zone in which times are shown.
    zone: Tz,
    language: Language,
    words: &'a Words,
    reader: Reader,
    remarks: &'a mut Vec<String>,
}

impl NodeRemarks<'_> {
    fn write(mut self) {
        if self.node.state == NodeState::Missing {
            self.say("node_missing", &[]);
            return;
        }
        self.days();
        self.coverage();
        self.gaps();
        self.qualities();
        if let Some(late) = &self.node.late {
            let (start, end) = self.interval(late.start, late.end);
            let bytes = Human(late.bytes.into()).to_string();
            self.say("late", &[("start", start), ("end", end), ("bytes", bytes)]);
        }
        if let Some(zone) = &self.node.other_zone {
            self.say("other_zone", &[("zone", zone.clone())]);
        }
    }

    fn days(&mut self) {
        let node = self.node;
        self.days_in("days_missing", &node.days_missing);
        self.days_in("days_growing", &node.days_growing);
        for correction in &node.corrections {
            let values = [
                ("day", dates::short(self.language, correction.day)),
                ("before", numbers::duration(self.language, correction.seconds_covered_before.into())),
                ("now", numbers::duration(self.language, correction.seconds_covered.into())),
            ];
            self.say("day_corrected", &values);
        }
        self.days_in("days_refused", &node.days_refused);
        self.days_in("days_filed_earlier", &node.days_filed_earlier);
    }

    fn days_in(&mut self, key: &str, days: &[chrono::NaiveDate]) {
        if !days.is_empty() {
            self.say(key, &[("days", dates::runs(self.language, days))]);
        }
    }

    fn coverage(&mut self) {
        let (covered, all) = (self.node.coverage.seconds_covered, self.node.coverage.seconds);
        // Missing whole days have a remark of their own.
        if covered < all && self.node.days_missing.is_empty() {
            let seconds = numbers::grouped(u128::from(all - covered));
            let percent = numbers::percent(covered, all, 2);
            let time = numbers::duration(self.language, all - covered);
            self.say("not_all_seen", &[("percent", percent), ("time", time), ("seconds", seconds)]);
        }
    }

    fn gaps(&mut self) {
        for gap in self.node.gaps.iter().take(MAX_LISTED_GAPS) {
            let (start, end) = self.interval(gap.start, gap.end);
            let interface = super::reasons::printable(&gap.interface);
            let why = reason(&gap.why, self.words, self.reader);
            let values = [("start", start), ("end", end), ("interface", interface), ("why", why)];
            // A time without any bucket is a gap on every interface.
            self.say(if gap.interface == Gap::EVERY_INTERFACE { "gap_of_all" } else { "gap" }, &values);
        }
        let unlisted = self.node.gaps.len().saturating_sub(MAX_LISTED_GAPS) as u64 + self.node.gaps_omitted;
        if unlisted > 0 {
            self.say("more_gaps", &[("count", unlisted.to_string())]);
        }
    }

    fn qualities(&mut self) {
        for (quality, key) in [
            (Quality::Reset, "resets"),
            (Quality::Restart, "restarts"),
            (Quality::Clock, "clocks"),
            (Quality::Import, "imports"),
        ] {
            if let Some(count) = self.node.quality.get(&quality) {
                let values = [("count", count.to_string()), ("times", self.times(*count))];
                self.say(key, &values);
            }
        }
    }

    /// `once`, `twice`, `3 times`
    fn times(&self, count: u64) -> String {
        match count {
            1 => self.words.say("once", &[]),
            2 => self.words.say("twice", &[]),
            _ => self.words.say("times", &[("count", count.to_string())]),
        }
    }

    fn interval(&self, start: DateTime<FixedOffset>, end: DateTime<FixedOffset>) -> (String, String) {
        dates::interval(self.language, start.with_timezone(&self.zone), end.with_timezone(&self.zone))
    }

    fn say(&mut self, key: &str, values: &[(&str, String)]) {
        let mut all = vec![("node", self.node.name.clone())];
        all.extend_from_slice(values);
        self.remarks.push(self.words.say(key, &all));
    }
}
