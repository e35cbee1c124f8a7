//! PURE: everything people read: terminal tables, letters and the page of a month.

mod chart;
mod dates;
pub mod figures;
pub mod letter;
mod numbers;
pub mod page;
mod reasons;
mod remarks;
mod sample;
pub mod screen;
mod scripts;
pub mod summary;
pub mod table;
mod templates;
mod trial;
mod view;
mod words;

pub use templates::{TEMPLATE_NAMES, TemplateError, Templates};

#[cfg(test)]
mod tests;
