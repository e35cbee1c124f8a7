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

pub use templates::{TEMPLATE_NAMES, TemplateError, Templates};

#[cfg(test)]
mod tests;
