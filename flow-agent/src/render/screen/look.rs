//! The look of text on a terminal: its width, colours, bars, and names that are safe to print.

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::ledger::amount::Units;
use crate::ledger::name::is_hidden;

/// What the terminal can show, and what the person prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScreenStyle {
    /// Columns; no line is wider.
    pub width: usize,
    /// Whether the locale has block characters and the ellipsis; otherwise `#` and `~` are used.
    pub unicode: bool,
    pub color: bool,
    pub units: Units,
    /// Another program reads the text, so that names in tables are given in full.
    pub is_piped: bool,
}

/// The meaning of a text, which decides its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    /// A heading.
    Heading,
    /// Of less importance.
    Dim,
    Good,
    Warning,
    Bad,
    In,
    Out,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Heading => Style::new().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::In => AnsiColor::Cyan.on_default(),
            Self::Out => AnsiColor::Green.on_default(),
        }
    }
}

/// Eighths of a block, growing to the right and upwards; the first is empty.
const RIGHT: [&str; 9] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];
pub(super) const UP: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// Heights of a sparkline without block characters.
const UP_ASCII: [&str; 9] = [" ", "_", ".", "-", "~", "+", "=", "*", "#"];

impl ScreenStyle {
    /// `text` in the colour of `tone`.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.color || tone == Tone::Plain || text.trim().is_empty() {
            return text.to_owned();
        }
        let style = tone.style();
        format!("{style}{text}{style:#}")
    }

    /// A bar for `part` of `whole` in at most `columns`. Anything above zero is visible.
    pub fn bar(&self, part: u128, whole: u128, columns: usize) -> String {
        if whole == 0 || part == 0 || columns == 0 {
            return String::new();
        }
        let columns_wide = columns as u128;
        if !self.unicode {
            let full = part.saturating_mul(columns_wide).saturating_add(whole / 2) / whole;
            return "#".repeat(usize::try_from(full.clamp(1, columns_wide)).unwrap_or(columns));
        }
        let eighths =
            (part.saturating_mul(columns_wide * 8).saturating_add(whole / 2) / whole).clamp(1, columns_wide * 8);
        let eighths = usize::try_from(eighths).unwrap_or(columns * 8);
        "█".repeat(eighths / 8) + RIGHT[eighths % 8]
    }

    /// A bar for the used part of a quota, and the rest of the quota in a light shade.
    pub fn gauge(&self, part: u128, whole: u128, columns: usize) -> (String, String) {
        let bar = self.bar(part.min(whole), whole, columns);
        let rest = columns.saturating_sub(bar.width());
        (bar, if self.unicode { "░" } else { "." }.repeat(rest))
    }

    /// One character for each value, with a height in proportion to the highest value. `None` is an unknown value.
    pub fn sparkline(&self, values: &[Option<u128>]) -> String {
        let highest = values.iter().flatten().copied().max().unwrap_or(0);
        let heights = if self.unicode { UP } else { UP_ASCII };
        let character = |value: &Option<u128>| match value {
            None => self.unknown(),
            Some(0) => heights[0],
            Some(value) => {
                let eighths = value.saturating_mul(8).saturating_add(highest / 2) / highest;
                heights[usize::try_from(eighths).unwrap_or(8).clamp(1, 8)]
            }
        };
        values.iter().map(character).collect()
    }

    /// The character for an unknown value.
    pub fn unknown(&self) -> &'static str {
        if self.unicode { "·" } else { "?" }
    }

    /// A name that is safe to print, cut to `columns`.
    pub fn name(&self, name: &str, columns: usize) -> String {
        cut(&printable(name), columns, self.unicode)
    }
}

/// `text` with every character that controls a terminal or changes the writing direction replaced by its code.
pub fn printable(text: &str) -> String {
    if !text.chars().any(is_hidden) {
        return text.to_owned();
    }
    let shown = |c: char| if is_hidden(c) { format!("<U+{:04X}>", u32::from(c)) } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// `text` cut to `columns` with an ellipsis; a character of two columns is never halved.
pub fn cut(text: &str, columns: usize, unicode: bool) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let mut shown = String::new();
    let mut taken = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if taken + wide > room {
            break;
        }
        taken += wide;
        shown.push(character);
    }
    shown + if unicode { "…" } else { "~" }
}

#[cfg(test)]
mod tests;
