//! PURE: everything people read: terminal tables, letters and the page of a month; and the metrics that Prometheus reads.

mod chart;
mod dates;
pub mod figures;
pub mod letter;
pub mod metrics;
pub mod notice;
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
pub mod users;
mod view;
mod words;

pub use templates::{TEMPLATE_NAMES, TemplateError, Templates};

#[cfg(test)]
mod tests;
