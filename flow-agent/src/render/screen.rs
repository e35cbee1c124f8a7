//! What `show` prints for people: text of a given width, with or without colours and block characters.

pub mod first;
mod graph;
mod look;
pub mod percentile;
mod rows;
pub mod usage;

pub use look::{ScreenStyle, Tone, cut, printable};
pub use rows::Rows;

/// `1,234,567`
pub fn grouped(number: u64) -> String {
    super::numbers::grouped(number.into())
}
