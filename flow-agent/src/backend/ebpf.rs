//! EDGE kernel: the counters of the TC classifiers. Only this file and those below it name aya.

mod attach;
mod counting;
mod filter;
mod foreign;
mod inspect;
mod instances;
mod keep;
mod kernel;
mod layout;
mod link;
mod log;
mod maps;
mod pins;
mod plan;
mod predecessors;
mod probe;
mod refusal;
mod retired;
mod set;
mod sets;
mod slots;
mod start;
mod tables;
mod uninstall;

pub use instances::{Stray, instances, remove_stray, strays};
pub use kernel::possible_cpus;
pub use layout::slots_for;
pub use probe::probe;
pub use start::{find_retired, look, start};
pub use uninstall::{Survey, SurveyedAttachment, SurveyedSet, survey, uninstall};
