//! `show --95th`: the percentiles of a period.

use chrono::{DateTime, FixedOffset};

use super::look::{ScreenStyle, Tone};
use super::rows::{Alignment, Rows, TextCell};
use crate::ledger::percentile::Percentile;
use crate::render::numbers;

/// The percentiles of a period, and the number of samples behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Percentiles {
    pub start: DateTime<FixedOffset>,
    pub end: DateTime<FixedOffset>,
    /// What they refer to: `all ports`, `port 443`, `user alice`.
    pub whose: String,
    pub sample_seconds: u32,
    /// How many samples the period has.
    pub expected: u64,
    /// How many of them were measured.
    pub seen: u64,
    /// Of incoming traffic, of outgoing traffic, and of both together; `None` if nothing was measured.
    pub rates: Option<[Percentile; 3]>,
}

impl Percentiles {
    /// The text for the terminal.
    pub fn print(&self, look: &ScreenStyle) -> String {
        let time = |at: DateTime<FixedOffset>| at.format("%Y-%m-%d %H:%M").to_string();
        let mut text = format!("95th percentile of {}, {} to {}\n", self.whose, time(self.start), time(self.end));
        let seen = numbers::percent(self.seen, self.expected, 2);
        text +=
            &format!("{} of {} samples of {} s were measured ({seen})", self.seen, self.expected, self.sample_seconds);
        text.push('\n');
        let Some(rates) = self.rates else { return text };
        text.push('\n');
        let mut rows = Rows::new(&[Alignment::Left, Alignment::Right, Alignment::Right, Alignment::Right]);
        let titles = ["", "95th", "next higher", "next lower"];
        rows.push(titles.map(|title| TextCell::new(Tone::Dim, title)));
        let sample = |rate: Option<u128>| rate.map_or_else(|| "-".to_owned(), |rate| look.units.rate(rate));
        for (name, rate) in ["in", "out", "both together"].into_iter().zip(rates) {
            rows.push([
                TextCell::new(Tone::Plain, name),
                TextCell::new(Tone::Heading, look.units.rate(rate.rate)),
                TextCell::new(Tone::Dim, sample(rate.above)),
                TextCell::new(Tone::Dim, sample(rate.below)),
            ]);
        }
        text + &rows.print(look)
    }
}
