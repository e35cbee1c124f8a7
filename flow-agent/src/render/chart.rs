//! Charts as SVG, in figures only: no text of anybody's is in them but the labels that are given, escaped.

use std::fmt::Write as _;

use crate::ledger::units::Human;

const WIDTH: u64 = 960;
const HEIGHT: u64 = 240;
/// Left of the bars, for the scale; below them, for the days.
const LEFT: u64 = 84;
const BELOW: u64 = 24;

/// Bars of bytes in and out, one a day, over a scale; `labels` are the days'.
pub(super) fn days(days: &[(u64, u64)], labels: &[String]) -> String {
    let most = most(days);
    let plot = HEIGHT - BELOW - 8;
    let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">"#);
    for quarter in 0..=4_u64 {
        let (y, bytes) = (8 + plot - plot * quarter / 4, u128::from(most) * u128::from(quarter) / 4);
        put(&mut svg, format_args!(r#"<line class="axis" x1="{LEFT}" x2="{WIDTH}" y1="{y}" y2="{y}"/>"#));
        put(
            &mut svg,
            format_args!(r#"<text x="{}" y="{}" text-anchor="end">{}</text>"#, LEFT - 6, y + 4, Human(bytes)),
        );
    }
    let count = (days.len() as u64).max(1);
    let step = (WIDTH - LEFT) * 100 / count;
    for (index, ((input, output), label)) in (0..).zip(days.iter().zip(labels)) {
        let (x, width) = (LEFT * 100 + step * index + step / 10, step * 8 / 10);
        let (below, above) = (scaled(*input, most, plot), scaled(*output, most, plot));
        let x_text = hundredths(x);
        let title = format!("{}: {}", escaped(label), Human(u128::from(*input) + u128::from(*output)));
        put(&mut svg, format_args!("<g><title>{title}</title>"));
        for (class, height, y) in
            [("i", below, 8 + plot - below), ("o", above, (8 + plot - below).saturating_sub(above))]
        {
            let width = hundredths(width);
            put(
                &mut svg,
                format_args!(r#"<rect class="{class}" x="{x_text}" y="{y}" width="{width}" height="{height}"/>"#),
            );
        }
        svg.push_str("</g>");
        // Every fifth day, and the first.
        if index == 0 || (index + 1) % 5 == 0 {
            let middle = hundredths(x + width / 2);
            put(
                &mut svg,
                format_args!(r#"<text x="{middle}" y="{}" text-anchor="middle">{}</text>"#, HEIGHT - 6, escaped(label)),
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

/// The same, small, without words.
pub(super) fn spark(days: &[(u64, u64)]) -> String {
    let most = most(days);
    let count = (days.len() as u64).max(1);
    let mut svg =
        format!(r#"<svg class="spark" viewBox="0 0 {} 24" preserveAspectRatio="none" aria-hidden="true">"#, count * 4);
    for (index, (input, output)) in (0_u64..).zip(days) {
        let height = scaled(input.saturating_add(*output), most, 24);
        if height > 0 {
            let (x, y) = (index * 4, 24 - height);
            put(&mut svg, format_args!(r#"<rect class="i" x="{x}" y="{y}" width="3" height="{height}"/>"#));
        }
    }
    svg.push_str("</svg>");
    svg
}

fn most(days: &[(u64, u64)]) -> u64 {
    days.iter().map(|(input, output)| input.saturating_add(*output)).max().unwrap_or(0)
}

/// `part` of `whole` as a height up to `height`; what is not zero is seen.
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
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_part_of_the_busiest_day() {
        // The plot is 208 high: 240 less 24 for the days and 8 above. The busiest day moved 100.
        let svg = days(&[(25, 75), (50, 0), (0, 0)], &["1 Oct".into(), "2 Oct".into(), "3 Oct".into()]);
        assert!(svg.contains(r#"class="i" x="113.20" y="164" width="233.60" height="52""#), "{svg}");
        assert!(svg.contains(r#"class="o" x="113.20" y="8" width="233.60" height="156""#), "{svg}");
        assert!(svg.contains(r#"y="112" width="233.60" height="104""#), "{svg}");
        assert!(svg.contains("<title>3 Oct: 0 B</title>"), "{svg}");
    }

    #[test]
    fn nothing_and_very_little_can_be_drawn() {
        assert!(days(&[], &[]).ends_with("</svg>"));
        assert!(spark(&[(1, 0), (u64::MAX, u64::MAX)]).contains(r#"y="23" width="3" height="1""#));
        assert!(!spark(&[(0, 0)]).contains("rect"));
    }

    #[test]
    fn a_label_is_text() {
        assert!(days(&[(1, 1)], &["<b>&\"".into()]).contains("&lt;b&gt;&amp;&quot;"));
    }
}
