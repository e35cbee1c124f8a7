//! `show` without a view: the state, the month, today, the last 24 hours, and the users with the most traffic.

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate, Timelike as _};

use super::graph;
pub use super::graph::ChartHour;
use super::look::{ScreenStyle, Tone};
use super::rows::{Alignment, Rows, TextCell};
use super::usage::measured;
use crate::ledger::language::Language;
use crate::ledger::month::Month;
use crate::ledger::now::QuotaStanding;
use crate::ledger::record::BackendKind;
use crate::render::{dates, numbers};

/// The maximum width of this screen, because longer lines are hard to read.
const WIDEST: usize = 140;

/// How many days the sparkline of a user shows.
pub const DAYS: usize = 14;

/// Only the chart of hours.
pub fn chart(look: &ScreenStyle, hours: &[ChartHour]) -> String {
    graph::columns(look, hours)
}

/// Everything on the screen.
#[derive(Clone, Debug, PartialEq)]
pub struct First {
    pub node: String,
    /// The current time in the configured zone.
    pub now: DateTime<FixedOffset>,
    pub state: FiguresState,
    pub backend: Option<BackendKind>,
    pub interfaces: Vec<String>,
    /// The number of ports that are counted.
    pub ports: usize,
    /// The first and the last day of the billing month.
    pub month_days: (NaiveDate, NaiveDate),
    pub month: Option<Amount>,
    pub month_forecast: Option<u128>,
    pub last_month_days: (NaiveDate, NaiveDate),
    pub last_month: Option<Amount>,
    pub today: Option<Amount>,
    pub today_forecast: Option<u128>,
    /// Yesterday up to the current time of the day; approximate if that time is within a bucket.
    pub yesterday_by_now: Option<Amount>,
    pub yesterday: Option<Amount>,
    /// The last 24 hours, the newest last.
    pub hours: Vec<ChartHour>,
    /// The hour with the highest rate among these.
    pub busiest: Option<Busiest>,
    pub users: Vec<FirstScreenUser>,
    /// How many further users have traffic.
    pub more_users: usize,
}

/// Where the figures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FiguresState {
    /// The agent answered; the counters were read at `at`.
    Answered { at: DateTime<FixedOffset>, attached: bool, waiting: u32, gaps: usize },
    /// The newest figures on disk are from `at`; `why` says why no agent was asked.
    Files { at: Option<DateTime<FixedOffset>>, why: String },
}

/// Bytes in a period, and how much of the period was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub in_bytes: u128,
    pub out_bytes: u128,
    pub covered: u64,
    /// The seconds of the period so far.
    pub seconds: u64,
}

impl Amount {
    /// Both directions together.
    pub fn bytes(self) -> u128 {
        self.in_bytes.saturating_add(self.out_bytes)
    }
}

/// The hour with the highest rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busiest {
    pub start: DateTime<FixedOffset>,
    pub bytes: u128,
    pub seconds: u64,
}

/// A user, or a port without an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstScreenUser {
    pub name: String,
    pub bytes: u128,
    /// The bytes that count towards the quota, and the quota.
    pub quota: Option<(u128, u128)>,
    /// The user's standing, if the agent reports it.
    pub state: Option<QuotaStanding>,
    /// The last [`DAYS`] days, today last; `None` if a day is not known.
    pub days: Vec<Option<u128>>,
}

impl First {
    /// The text for the terminal: at most as wide as the terminal.
    pub fn print(&self, look: &ScreenStyle) -> String {
        let look = ScreenStyle { width: look.width.min(WIDEST), ..*look };
        let mut text = self.head(&look);
        text.push('\n');
        text += &self.amounts(&look);
        if self.hours.iter().any(|hour| hour.bytes.is_some()) {
            text.push('\n');
            text += &self.graph(&look);
        }
        if !self.users.is_empty() {
            text.push('\n');
            text += &self.top(&look);
        }
        text
    }

    fn head(&self, look: &ScreenStyle) -> String {
        let backend = match self.backend {
            Some(BackendKind::Ebpf) => " by eBPF",
            Some(BackendKind::Nftables) => " by nftables",
            Some(BackendKind::Iptables) => " by iptables",
            None => "",
        };
        let interfaces =
            if self.interfaces.is_empty() { "no interface".to_owned() } else { self.interfaces.join(", ") };
        let ports = crate::ledger::units::count(self.ports, "port");
        let time = self.now.format("%Y-%m-%d %H:%M").to_string();
        let room = look.width.saturating_sub(time.len() + 2);
        let name = look.name(&self.node, room);
        let rest =
            look.name(&format!(": {ports} on {interfaces}{backend}"), room.saturating_sub(numbers::width(&name)));
        let space = look.width.saturating_sub(numbers::width(&name) + numbers::width(&rest) + time.len());
        let mut text = look.paint(Tone::Heading, &name) + &rest + &" ".repeat(space) + &look.paint(Tone::Dim, &time);
        text.push('\n');
        let (tone, state) = self.state();
        text += &look.paint(tone, &look.name(&state, look.width));
        text.push('\n');
        text
    }

    fn state(&self) -> (Tone, String) {
        match &self.state {
            FiguresState::Answered { at, attached: true, waiting: 0, gaps: 0 } => {
                (Tone::Good, format!("counting, read at {}", at.format("%H:%M:%S")))
            }
            FiguresState::Answered { at, attached, waiting, gaps } => {
                let mut what = vec![format!("read at {}", at.format("%H:%M:%S"))];
                if !attached {
                    what.push("an interface is not being counted".to_owned());
                }
                if *waiting > 0 {
                    what.push(format!(
                        "{} waiting for the disk",
                        crate::ledger::units::count(*waiting as usize, "bucket")
                    ));
                }
                if *gaps > 0 {
                    what.push("the open bucket has a gap".to_owned());
                }
                (Tone::Warning, what.join("; "))
            }
            FiguresState::Files { at: Some(at), why } => {
                let is_today = at.date_naive() == self.now.date_naive();
                let at = at.format(if is_today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" });
                (Tone::Warning, format!("as of {at}, {why}"))
            }
            FiguresState::Files { at: None, why } => (Tone::Warning, why.clone()),
        }
    }

    fn amounts(&self, look: &ScreenStyle) -> String {
        let right = Alignment::Right;
        let mut rows = Rows::new(&[Alignment::Left, right, right, right, right, right, right]);
        let change = self.against_yesterday(look);
        let titles = ["", "in", "out", "total", "rate", "measured", if change.is_some() { "change" } else { "" }];
        rows.push(titles.map(|title| TextCell::new(Tone::Dim, title)));
        let mut today = amount(look, "today", self.today, "");
        today.extend(change.map(TextCell::from));
        rows.push(today);
        push_forecast(look, &mut rows, "  by midnight", self.today_forecast.filter(|_| self.today.is_some()));
        rows.push(amount(look, "yesterday", self.yesterday, ""));
        if self.yesterday_by_now.is_some_and(|by_now| Some(by_now) != self.yesterday) {
            let label = format!("  until {}", self.now.format("%H:%M"));
            rows.push(amount(look, &label, self.yesterday_by_now, "~"));
        }
        rows.push(amount(look, &month_name(self.month_days), self.month, ""));
        if let Some(next) = self.month_days.1.succ_opt() {
            let label = format!("  by {}", dates::short(Language::English, next));
            push_forecast(look, &mut rows, &label, self.month_forecast);
        }
        rows.push(amount(look, &month_name(self.last_month_days), self.last_month, ""));
        rows.print(look)
    }

    /// Today compared with yesterday up to the same time: `+12.3 %`.
    fn against_yesterday(&self, look: &ScreenStyle) -> Option<String> {
        let (today, before) = (self.today?, self.yesterday_by_now?);
        // If less than nine tenths of yesterday's part was measured, there is no comparison.
        if before.covered * 10 < before.seconds * 9 {
            return None;
        }
        let narrow = |bytes: u128| u64::try_from(bytes).unwrap_or(u64::MAX);
        let change = numbers::change(narrow(before.bytes()), narrow(today.bytes()))?;
        Some(if look.unicode { change } else { change.replace('−', "-") })
    }

    fn graph(&self, look: &ScreenStyle) -> String {
        let mut text = look.paint(Tone::Heading, "last 24 hours") + "  ";
        let block = if look.unicode { "▄" } else { "#" };
        text += &format!("{} in, {} out", look.paint(Tone::In, block), look.paint(Tone::Out, block));
        if let Some(busiest) = self.busiest
            && let Some(rate) = look.units.average(busiest.bytes, busiest.seconds)
        {
            text += &format!("  busiest: {rate} from {:02}:00", busiest.start.hour());
        }
        text.push('\n');
        text + &graph::columns(look, &self.hours)
    }

    fn top(&self, look: &ScreenStyle) -> String {
        let has_quotas = self.users.iter().any(|user| user.quota.is_some());
        let highest = self.users.iter().map(|user| user.bytes).max().unwrap_or(0);
        let sides = [Alignment::Left, Alignment::Right, Alignment::Left, Alignment::Right, Alignment::Left];
        let gauge = 10;
        // The width of the other columns: the sum, the bar, the percentage of a quota, the days, and the spaces.
        let others = 8 + gauge + DAYS + 3 * 2 + 2 + if has_quotas { 16 } else { 7 };
        let most = look.width.saturating_sub(others).clamp(8, 40);
        let mut rows = Rows::new(&sides);
        let days = format!("last {DAYS} days");
        let titles = ["most this month", "total", "", if has_quotas { "of quota" } else { "share" }, &days];
        rows.push(
            titles
                .iter()
                .zip([Tone::Heading, Tone::Dim, Tone::Dim, Tone::Dim, Tone::Dim])
                .map(|(title, tone)| TextCell::new(tone, look.name(title, most.max(days.len())))),
        );
        for user in &self.users {
            let (bar, of_quota) = match user.quota {
                Some((used, quota)) => {
                    let percent = used.saturating_mul(100).checked_div(quota).unwrap_or(u128::MAX);
                    let tone = match percent {
                        0..80 => Tone::Good,
                        80..100 => Tone::Warning,
                        _ => Tone::Bad,
                    };
                    let (full, rest) = look.gauge(used, quota, gauge);
                    let text = match user.state {
                        Some(QuotaStanding::Cut) => format!("cut at {}", look.units.bytes(quota)),
                        Some(QuotaStanding::Expired) => "expired".to_owned(),
                        Some(QuotaStanding::Open | QuotaStanding::Warned) | None => {
                            format!("{percent} % of {}", look.units.bytes(quota))
                        }
                    };
                    let tone = match user.state {
                        Some(QuotaStanding::Cut | QuotaStanding::Expired) => Tone::Bad,
                        Some(QuotaStanding::Open | QuotaStanding::Warned) | None => tone,
                    };
                    (TextCell::new(tone, full).and(Tone::Dim, rest), TextCell::new(tone, text))
                }
                None if user.state == Some(QuotaStanding::Expired) => {
                    (TextCell::default(), TextCell::new(Tone::Bad, "expired"))
                }
                None if has_quotas => (TextCell::default(), TextCell::new(Tone::Dim, "no quota")),
                None => {
                    let narrow = |bytes: u128| u64::try_from(bytes).unwrap_or(u64::MAX);
                    let share = self.month.map_or_else(
                        || "-".to_owned(),
                        |month| numbers::percent(narrow(user.bytes), narrow(month.bytes()), 1),
                    );
                    (TextCell::new(Tone::Out, look.bar(user.bytes, highest, gauge)), TextCell::new(Tone::Dim, share))
                }
            };
            rows.push([
                TextCell::new(Tone::Plain, look.name(&user.name, most)),
                TextCell::new(Tone::Plain, look.units.bytes(user.bytes)),
                bar,
                of_quota,
                TextCell::new(Tone::Out, look.sparkline(&user.days)),
            ]);
        }
        if self.more_users > 0 {
            let more = format!("and {} more: flow-agent show top --limit 0", self.more_users);
            rows.text(TextCell::new(Tone::Dim, more));
        }
        rows.print(look)
    }
}

/// `October 2026`, or `15 Oct - 14 Nov`.
fn month_name((first, last): (NaiveDate, NaiveDate)) -> String {
    match first.day() {
        1 => dates::month(Language::English, Month::of(first)),
        _ => format!("{} - {}", dates::short(Language::English, first), dates::short(Language::English, last)),
    }
}

fn amount(look: &ScreenStyle, name: &str, amount: Option<Amount>, about: &str) -> Vec<TextCell> {
    let Some(amount) = amount else {
        return [name, "-", "-", "-", "-", "unknown"].map(|text| TextCell::new(Tone::Dim, text)).into();
    };
    let bytes = |bytes: u128| format!("{about}{}", look.units.bytes(bytes));
    let rate = look.units.average(amount.bytes(), amount.covered).unwrap_or_else(|| "-".to_owned());
    vec![
        TextCell::new(Tone::Plain, name),
        TextCell::new(Tone::In, bytes(amount.in_bytes)),
        TextCell::new(Tone::Out, bytes(amount.out_bytes)),
        TextCell::new(Tone::Heading, bytes(amount.bytes())),
        TextCell::new(Tone::Plain, rate),
        measured(Some(amount.covered), Some(amount.seconds)),
    ]
}

fn push_forecast(look: &ScreenStyle, rows: &mut Rows, name: &str, bytes: Option<u128>) {
    if let Some(bytes) = bytes {
        let total = format!("~{}", look.units.bytes(bytes));
        let cells = [name, "", "", total.as_str(), "", "forecast"];
        rows.push(cells.map(|text| TextCell::new(Tone::Dim, text)));
    }
}
