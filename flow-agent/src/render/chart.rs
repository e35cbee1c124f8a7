//! Charts as SVG. The only texts in them are figures and the given labels, which are escaped.

use std::fmt::Write as _;

use crate::ledger::units::{Human, Written};

/// The space above the bars.
const ABOVE: u64 = 18;
/// The space below the bars, for the labels of the days.
const BELOW: u64 = 24;
/// The maximum number of scale lines above the base line.
const MOST_LINES: u64 = 5;
/// The height of a small chart, and the width of a day in it.
const SPARK_HEIGHT: u64 = 24;
const SPARK_DAY: u64 = 4;
/// Half of the width of the longest label of a day, `10月30日`, at its largest font size.
const LAST_LABEL: u64 = 34;

/// Where a chart is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// On a large screen or on paper.
    Wide,
    /// On a phone.
    Narrow,
}

/// The dimensions of a chart.
struct Frame {
    class: &'static str,
    width: u64,
    height: u64,
    /// The space left of the bars, for the scale.
    left: u64,
    /// The first day and every `every`-th day have a label.
    every: u64,
}

impl Shape {
    fn frame(self) -> Frame {
        match self {
            Self::Wide => Frame { class: "wide", width: 960, height: 240, left: 76, every: 5 },
            Self::Narrow => Frame { class: "narrow", width: 380, height: 220, left: 80, every: 10 },
        }
    }
}

/// The bar of one day.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) bytes: (u64, u64),
    /// Data is missing for this day, so the figures are a lower bound.
    pub(super) is_partial: bool,
}

/// Stacked bars of bytes in and out, one per day, with a scale of round figures. `title` is the accessible name.
pub(super) fn days(shape: Shape, title: &str, bars: &[Bar]) -> String {
    let Frame { class, width, height, left, every } = shape.frame();
    let (step, lines) = scale(most(bars.iter().map(|bar| bar.bytes)));
    let top = step.saturating_mul(lines);
    let plot = height - BELOW - ABOVE;
    let title = escaped(title);
    let mut svg = format!(r#"<svg class="{class}" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">"#);
    for line in 0..=lines {
        let y = ABOVE + plot - plot * line / lines;
        put(&mut svg, format_args!(r#"<line class="axis" x1="{left}" x2="{width}" y1="{y}" y2="{y}"/>"#));
        let (x, y, bytes) = (left - 6, y + 4, Written(step.saturating_mul(line)));
        put(&mut svg, format_args!(r#"<text x="{x}" y="{y}" text-anchor="end">{bytes}</text>"#));
    }
    let count = (bars.len() as u64).max(1);
    let step = (width - left) * 100 / count;
    for (index, bar) in (0..).zip(bars) {
        let (x, bar_width) = (left * 100 + step * index + step / 10, step * 8 / 10);
        let middle = hundredths(x + bar_width / 2);
        let (input, output) = bar.bytes;
        let (below, above) = (scaled(input, top, plot), scaled(output, top, plot));
        let label = escaped(&bar.label);
        let at_least = if bar.is_partial { "≥ " } else { "" };
        let both = Human(u128::from(input) + u128::from(output));
        put(&mut svg, format_args!("<g><title>{label}: {at_least}{both}</title>"));
        let edge = (ABOVE + plot - below).saturating_sub(above);
        for (class, height, y) in [("i", below, ABOVE + plot - below), ("o", above, edge)] {
            let (x, width) = (hundredths(x), hundredths(bar_width));
            put(&mut svg, format_args!(r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"/>"#));
        }
        if bar.is_partial {
            put(
                &mut svg,
                format_args!(r#"<text class="m" x="{middle}" y="{}" text-anchor="middle">≥</text>"#, edge - 3),
            );
        }
        svg.push_str("</g>");
        if index == 0 || (index + 1) % every == 0 {
            // A centred first label would overlap the scale when days are narrow.
            let anchor = if index == 0 { "start" } else { "middle" };
            // The last label must not extend beyond the right edge.
            let x = if index == 0 { x } else { (x + bar_width / 2).min((width - LAST_LABEL) * 100) };
            let x = hundredths(x);
            let y = height - 6;
            put(&mut svg, format_args!(r#"<text x="{x}" y="{y}" text-anchor="{anchor}">{label}</text>"#));
        }
    }
    svg.push_str("</svg>");
    svg
}

/// A small chart without text: one path, in which every day with traffic is a vertical line. A page of thousands of
/// users has one on each row, so the path is written as briefly as SVG allows.
pub(super) fn spark(days: &[(u64, u64)]) -> String {
    let most = most(days.iter().copied());
    let width = (days.len() as u64).max(1) * SPARK_DAY;
    let mut svg = format!(r#"<svg class="spark" viewBox="0 0 {width} {SPARK_HEIGHT}" preserveAspectRatio="none">"#);
    // Where the last line ended: its day, and how far above the base line.
    let mut last = None;
    for (index, (input, output)) in (0_u64..).zip(days) {
        let height = scaled(input.saturating_add(*output), most, SPARK_HEIGHT);
        if height == 0 {
            continue;
        }
        match last {
            None => {
                let middle = index * SPARK_DAY + SPARK_DAY / 2;
                put(&mut svg, format_args!(r#"<path d="M{middle} {SPARK_HEIGHT}v-{height}"#));
            }
            Some((day, above)) => put(&mut svg, format_args!("m{} {above}v-{height}", (index - day) * SPARK_DAY)),
        }
        last = Some((index, height));
    }
    if last.is_some() {
        svg.push_str(r#""/>"#);
    }
    svg.push_str("</svg>");
    svg
}

/// The number of bytes between two scale lines, and the number of lines needed to reach `most`. The distance is a
/// quarter, half, 1, 2, 5 … of the unit in which `most` is shown.
fn scale(most: u64) -> (u64, u64) {
    let unit = 1_u64 << (most.max(1).ilog2() / 10 * 10);
    let whole = [1, 2, 5, 10, 20, 25, 50, 100, 200, 256].into_iter().map(|times| unit.saturating_mul(times));
    let mut steps = [unit / 4, unit / 2].into_iter().filter(|step| *step > 0).chain(whole);
    let step = steps.find(|step| most.div_ceil(*step) <= MOST_LINES).expect("5 x 256 units are more than 1,024");
    (step, most.div_ceil(step).max(1))
}

fn most(days: impl Iterator<Item = (u64, u64)>) -> u64 {
    days.map(|(input, output)| input.saturating_add(output)).max().unwrap_or(0)
}

/// `part` of `whole` as a height up to `height`, at least 1 unless `part` is zero.
fn scaled(part: u64, whole: u64, height: u64) -> u64 {
    if part == 0 || whole == 0 {
        return 0;
    }
    u64::try_from(u128::from(part) * u128::from(height) / u128::from(whole)).unwrap_or(height).clamp(1, height)
}

fn hundredths(number: u64) -> String {
    format!("{}.{:02}", number / 100, number % 100)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn put(svg: &mut String, what: std::fmt::Arguments<'_>) {
    svg.write_fmt(what).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests;
