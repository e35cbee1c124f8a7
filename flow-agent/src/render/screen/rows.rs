//! Text in columns that are as wide as their contents.

use unicode_width::UnicodeWidthStr as _;

use super::look::{ScreenStyle, Tone};

/// A cell, which may consist of parts of different colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextCell(Vec<(Tone, String)>);

impl TextCell {
    /// Text in one colour.
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self(vec![(tone, text.into())])
    }

    /// The cell with further text appended.
    #[must_use]
    pub fn and(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }

    fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.width()).sum()
    }

    fn print(&self, look: &ScreenStyle) -> String {
        self.0.iter().map(|(tone, text)| look.paint(*tone, text)).collect()
    }
}

impl From<String> for TextCell {
    fn from(text: String) -> Self {
        Self::new(Tone::Plain, text)
    }
}

impl From<&str> for TextCell {
    fn from(text: &str) -> Self {
        Self::new(Tone::Plain, text)
    }
}

/// How the text of a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    Left,
    Right,
}

/// Rows of cells, and lines of text between them.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    sides: Vec<Alignment>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
enum Row {
    Cells(Vec<TextCell>),
    Text(TextCell),
}

impl Rows {
    /// The space between two columns.
    pub(super) const SPACE: usize = 2;

    /// No rows yet; `sides` gives the alignment of each column.
    pub fn new(sides: &[Alignment]) -> Self {
        Self { sides: sides.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; the last cells may be missing.
    pub fn push(&mut self, cells: impl IntoIterator<Item = TextCell>) {
        self.rows.push(Row::Cells(cells.into_iter().collect()));
    }

    /// Adds a line that has no columns.
    pub fn text(&mut self, text: impl Into<TextCell>) {
        self.rows.push(Row::Text(text.into()));
    }

    /// The total width of the rows so far, including the spaces between columns.
    pub fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + Self::SPACE * widths.len().saturating_sub(1)
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.sides.len()];
        for row in &self.rows {
            let Row::Cells(cells) = row else { continue };
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.width().max(*width);
            }
        }
        widths
    }

    /// All lines, without trailing spaces.
    pub fn print(&self, look: &ScreenStyle) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in &self.rows {
            let line = match row {
                Row::Text(cell) => cell.print(look),
                Row::Cells(cells) => self.line(cells, &widths, look),
            };
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    fn line(&self, cells: &[TextCell], widths: &[usize], look: &ScreenStyle) -> String {
        let mut line = String::new();
        for (index, ((cell, width), side)) in cells.iter().zip(widths).zip(&self.sides).enumerate() {
            if index > 0 {
                line += &" ".repeat(Self::SPACE);
            }
            let space = " ".repeat(width.saturating_sub(cell.width()));
            let text = cell.print(look);
            line += &match side {
                Alignment::Left => text + &space,
                Alignment::Right => space + &text,
            };
        }
        line
    }
}

#[cfg(test)]
mod tests;
