//! PURE: what people read: tables, letters, the page of a month.

pub mod figures;
pub mod table;

use serde::Deserialize;

/// The languages that letters are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Language {
    #[default]
    #[serde(rename = "en")]
    English,
    #[serde(rename = "zh")]
    Chinese,
}
