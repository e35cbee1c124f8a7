//! `show hours`, `days`, `months` and `years`: a line for each period, or for each period and owner.

use chrono::{DateTime, FixedOffset, NaiveDate};

use super::look::{ScreenStyle, Tone, printable};
use super::rows::{Alignment, Rows, TextCell};
use crate::ledger::language::Language;
use crate::ledger::month::Month;
use crate::render::numbers;

/// The period of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Bucket { start: DateTime<FixedOffset>, end: DateTime<FixedOffset> },
    Day(NaiveDate),
    Month(Month),
    Year(i32),
}

impl When {
    fn title(self) -> &'static str {
        match self {
            Self::Bucket { .. } => "hour",
            Self::Day(_) => "day",
            Self::Month(_) => "month",
            Self::Year(_) => "year",
        }
    }

    /// The seconds between the end of this period and the beginning of `next`, if that is a time without a line.
    fn seconds_until(self, next: Self) -> u64 {
        let seconds = match (self, next) {
            (Self::Bucket { end, .. }, Self::Bucket { start, .. }) => (start - end).num_seconds(),
            (Self::Day(day), Self::Day(next)) => ((next - day).num_days() - 1) * 86_400,
            _ => 0,
        };
        u64::try_from(seconds).unwrap_or(0)
    }
}

/// Whose usage a line shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Everything that was asked for.
    All,
    Port(u16, Option<String>),
    /// A user, or the ports without an owner.
    User(Option<String>, Vec<u16>),
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageLine {
    pub when: When,
    pub whose: Whose,
    pub in_bytes: u128,
    pub out_bytes: u128,
    /// The seconds of this period, up to now if it is not over; `None` if not known.
    pub seconds: Option<u64>,
    /// How many of them were measured; `None` if not known.
    pub covered: Option<u64>,
    /// The period is not over.
    pub open: bool,
    /// A note for people, such as `gap`.
    pub note: String,
}

impl UsageLine {
    fn bytes(&self) -> u128 {
        self.in_bytes.saturating_add(self.out_bytes)
    }
}

/// The lines, with the text around them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageScreen {
    pub lines: Vec<UsageLine>,
    /// How many earlier lines were left out.
    pub left_out: usize,
    /// Sentences below the lines.
    pub notes: Vec<String>,
}

impl UsageScreen {
    /// The text for the terminal.
    pub fn print(&self, look: &ScreenStyle) -> String {
        let by_owner = self.lines.iter().any(|line| line.whose != Whose::All);
        let without_bars = self.rows(look, by_owner, 0);
        let room = look.width.saturating_sub(without_bars.width() + Rows::SPACE);
        // A bar of less than five columns shows nothing useful.
        let rows = if by_owner || room < 5 { without_bars } else { self.rows(look, by_owner, room) };
        let mut text = String::new();
        if self.left_out > 0 {
            text += &format!("{} earlier lines are left out; --limit 0 shows all\n", self.left_out);
        }
        text += &rows.print(look);
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            text += note;
            text.push('\n');
        }
        text
    }

    fn rows(&self, look: &ScreenStyle, by_owner: bool, bar: usize) -> Rows {
        let has_notes = self.lines.iter().any(|line| !line.note.is_empty());
        let is_port = self.lines.iter().any(|line| matches!(line.whose, Whose::Port(..)));
        let mut columns = vec![(self.lines.first().map_or("", |line| line.when.title()), Alignment::Left)];
        match (by_owner, is_port) {
            (false, _) => {}
            (true, true) => columns.extend([("port", Alignment::Right), ("user", Alignment::Left)]),
            (true, false) => columns.extend([("user", Alignment::Left), ("ports", Alignment::Left)]),
        }
        columns.extend([
            ("in", Alignment::Right),
            ("out", Alignment::Right),
            ("total", Alignment::Right),
            ("rate", Alignment::Right),
        ]);
        if !by_owner {
            columns.push(("measured", Alignment::Right));
        }
        if has_notes {
            columns.push(("", Alignment::Left));
        }
        columns.push(("", Alignment::Left));
        let sides: Vec<Alignment> = columns.iter().map(|(_, side)| *side).collect();
        let mut rows = Rows::new(&sides);
        rows.push(columns.iter().map(|(title, _)| TextCell::new(Tone::Dim, *title)));
        let highest = self.lines.iter().map(UsageLine::bytes).max().unwrap_or(0);
        let names = Names::of(look, by_owner);
        let labels = Labels::of(&self.lines);
        let mut before: Option<&UsageLine> = None;
        let mut unseen: u64 = 0;
        for line in &self.lines {
            if let Some(hole) = before.filter(|_| !by_owner).map(|before| before.when.seconds_until(line.when))
                && hole > 0
            {
                unseen = unseen.saturating_add(hole);
                let hole = numbers::duration(Language::English, hole);
                rows.text(TextCell::new(Tone::Warning, format!("  {hole} not counted")));
            }
            if let Some(date) = labels.heading(before, line) {
                rows.text(TextCell::new(Tone::Heading, date));
            }
            let mut cells = vec![TextCell::new(Tone::Plain, labels.label(line))];
            cells.extend(names.cells(&line.whose));
            cells.extend(amounts(look, line.in_bytes, line.out_bytes, line.covered));
            if !by_owner {
                cells.push(measured(line.covered, line.seconds));
            }
            if has_notes {
                let tone = if line.open { Tone::Dim } else { Tone::Warning };
                cells.push(TextCell::new(tone, line.note.clone()));
            }
            cells.push(TextCell::new(Tone::Out, look.bar(line.bytes(), highest, bar)));
            rows.push(cells);
            before = Some(line);
        }
        if self.lines.len() > 1 && !by_owner {
            self.push_sum(look, &mut rows, unseen);
        }
        rows
    }

    fn push_sum(&self, look: &ScreenStyle, rows: &mut Rows, unseen: u64) {
        let sum = |of: fn(&UsageLine) -> u128| self.lines.iter().map(of).fold(0_u128, u128::saturating_add);
        let times = |of: fn(&UsageLine) -> Option<u64>| self.lines.iter().map(of).sum::<Option<u64>>();
        let (covered, seconds) = (times(|line| line.covered), times(|line| line.seconds));
        let mut cells = vec![TextCell::new(Tone::Heading, "sum")];
        cells.extend(amounts(look, sum(|line| line.in_bytes), sum(|line| line.out_bytes), covered));
        cells.push(measured(covered, seconds.map(|seconds| seconds.saturating_add(unseen))));
        rows.push(cells);
    }
}

fn amounts(look: &ScreenStyle, in_bytes: u128, out_bytes: u128, covered: Option<u64>) -> [TextCell; 4] {
    let total = in_bytes.saturating_add(out_bytes);
    if total == 0 && covered == Some(0) {
        // Nothing was measured, so it is not known whether anything moved.
        return ["-", "-", "-", "-"].map(|text| TextCell::new(Tone::Dim, text));
    }
    let rate = covered.and_then(|seconds| look.units.average(total, seconds)).unwrap_or_else(|| "-".to_owned());
    [
        TextCell::new(Tone::In, look.units.bytes(in_bytes)),
        TextCell::new(Tone::Out, look.units.bytes(out_bytes)),
        TextCell::new(Tone::Heading, look.units.bytes(total)),
        TextCell::new(Tone::Plain, rate),
    ]
}

pub(super) fn measured(covered: Option<u64>, seconds: Option<u64>) -> TextCell {
    match (covered, seconds) {
        (Some(covered), Some(seconds @ 1..)) => {
            // A bucket may end a little after its planned end.
            let covered = covered.min(seconds);
            let tone = if covered * 1_000 >= seconds * 999 { Tone::Dim } else { Tone::Warning };
            TextCell::new(tone, numbers::percent(covered, seconds, 2))
        }
        _ => TextCell::new(Tone::Dim, "-"),
    }
}

/// How owners are shown in columns.
struct Names {
    most: usize,
    unicode: bool,
}

impl Names {
    fn of(look: &ScreenStyle, by_owner: bool) -> Self {
        let room = look.width.saturating_sub(60).max(8);
        Self { most: if by_owner && !look.is_piped { room } else { usize::MAX }, unicode: look.unicode }
    }

    fn cells(&self, whose: &Whose) -> Vec<TextCell> {
        let name = |user: Option<&str>| match user {
            Some(user) => TextCell::new(Tone::Plain, super::cut(&printable(user), self.most, self.unicode)),
            None => TextCell::new(Tone::Dim, "-"),
        };
        match whose {
            Whose::All => Vec::new(),
            Whose::Port(port, user) => vec![TextCell::new(Tone::Plain, port.to_string()), name(user.as_deref())],
            Whose::User(user, ports) => {
                let ports = super::cut(&numbers::ports(ports), self.most.min(14), self.unicode);
                vec![name(user.as_deref()), TextCell::new(Tone::Dim, ports)]
            }
        }
    }
}

/// How periods are shown: buckets are grouped below the headings of their dates, and only what is necessary is printed.
struct Labels {
    has_headings: bool,
    has_offsets: bool,
    has_seconds: bool,
    has_ends: bool,
}

impl Labels {
    fn of(lines: &[UsageLine]) -> Self {
        let buckets = || {
            lines.iter().filter_map(|line| match line.when {
                When::Bucket { start, end } => Some((line, start, end)),
                _ => None,
            })
        };
        let first = buckets().next();
        let usual = buckets()
            .map(|(_, start, end)| (end - start).num_seconds())
            .max_by_key(|length| buckets().filter(|(_, start, end)| (*end - *start).num_seconds() == *length).count());
        let has_offsets =
            buckets().any(|(_, start, _)| Some(start.offset()) != first.as_ref().map(|(_, s, _)| s.offset()));
        Self {
            has_headings: first.is_some(),
            has_offsets,
            has_seconds: buckets().any(|(_, start, _)| start.timestamp() % 60 != 0),
            has_ends: buckets().any(|(line, start, end)| !line.open && Some((end - start).num_seconds()) != usual),
        }
    }

    fn heading(&self, before: Option<&UsageLine>, line: &UsageLine) -> Option<String> {
        let date = |line: &UsageLine| match line.when {
            When::Bucket { start, .. } if self.has_headings => Some(start.date_naive()),
            _ => None,
        };
        let this = date(line)?;
        (before.and_then(date) != Some(this)).then(|| this.format("%Y-%m-%d, %A").to_string())
    }

    fn label(&self, line: &UsageLine) -> String {
        let (start, end) = match line.when {
            When::Bucket { start, end } => (start, end),
            When::Day(day) => return day.format("%Y-%m-%d %a").to_string(),
            When::Month(month) => return month.to_string(),
            When::Year(year) => return year.to_string(),
        };
        let time = |at: DateTime<FixedOffset>| {
            let time = at.format(if self.has_seconds { "%H:%M:%S" } else { "%H:%M" }).to_string();
            if self.has_offsets { format!("{time} {}", at.offset()) } else { time }
        };
        let mut label = time(start);
        if self.has_ends && !line.open {
            label += &format!(" - {}", time(end));
        }
        label
    }
}
