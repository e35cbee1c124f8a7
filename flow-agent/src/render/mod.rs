//! PURE: what people read: tables, letters, the page of a month.

mod chart;
mod dates;
pub mod figures;
pub mod letter;
mod numbers;
pub mod page;
mod remarks;
mod sample;
pub mod summary;
pub mod table;
mod templates;
mod view;
mod words;

use serde::Deserialize;

pub use templates::{TEMPLATE_NAMES, TemplateError, Templates};

/// The languages that letters are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Language {
    #[default]
    #[serde(rename = "en")]
    English,
    #[serde(rename = "zh")]
    Chinese,
}

impl Language {
    /// `en`, `zh`
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// As mail and pages name it: `en`, `zh-CN`; without the script Chinese is shown in whatever font comes first.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }
}

#[cfg(test)]
mod tests;
