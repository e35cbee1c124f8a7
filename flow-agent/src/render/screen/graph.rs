//! A column chart of incoming and outgoing bytes by the hour.

use super::look::{ScreenStyle, Tone, UP};

/// The height in lines.
const LINES: usize = 5;

/// One hour of the chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartHour {
    /// Two characters, such as `09`.
    pub label: String,
    /// Bytes in and out; `None` if nothing was measured in this hour.
    pub bytes: Option<(u128, u128)>,
}

/// The chart: two columns for each hour, for incoming and outgoing bytes, with the hours below.
pub(super) fn columns(look: &ScreenStyle, hours: &[ChartHour]) -> String {
    // Two columns and a space for each hour; wider ones if there is room.
    let wide = (look.width / hours.len().max(1)).saturating_sub(1) / 2;
    let wide = wide.clamp(1, 2);
    let highest = hours.iter().filter_map(|hour| hour.bytes).map(|(inward, outward)| inward.max(outward)).max();
    let highest = highest.unwrap_or(0);
    let mut text = String::new();
    for line in (0..LINES).rev() {
        let mut printed = String::new();
        for hour in hours {
            match hour.bytes {
                Some((inward, outward)) => {
                    printed += &look.paint(Tone::In, &cell(look, inward, highest, line).repeat(wide));
                    printed += &look.paint(Tone::Out, &cell(look, outward, highest, line).repeat(wide));
                }
                None if line == 0 => printed += &look.paint(Tone::Dim, &look.unknown().repeat(2 * wide)),
                None => printed += &" ".repeat(2 * wide),
            }
            printed.push(' ');
        }
        text += printed.trim_end();
        text.push('\n');
    }
    let labels: String = hours.iter().map(|hour| format!("{:<width$}", hour.label, width = 2 * wide + 1)).collect();
    text += &look.paint(Tone::Dim, labels.trim_end());
    text.push('\n');
    text
}

/// The part of a column that lies in a line; `line` is 0 at the bottom.
fn cell(look: &ScreenStyle, bytes: u128, highest: u128, line: usize) -> &'static str {
    if bytes == 0 || highest == 0 {
        return " ";
    }
    let eighths = (bytes.saturating_mul(LINES as u128 * 8).saturating_add(highest / 2) / highest).max(1);
    let eighths = usize::try_from(eighths).unwrap_or(0);
    let here = eighths.saturating_sub(line * 8).min(8);
    match look.unicode {
        true => UP[here],
        // Without eighths a cell is filled from half its height on, and the lowest cell whenever there is anything.
        false if here >= 4 || here > 0 && line == 0 => "#",
        false => " ",
    }
}

#[cfg(test)]
mod tests;
