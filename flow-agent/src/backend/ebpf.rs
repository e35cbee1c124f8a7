//! EDGE kernel: the eBPF backend, whose counters are kept by TC classifiers. Only this module and its children use aya.

mod attach;
mod counting;
mod gate;
mod inspect;
mod instances;
mod keep;
mod kernel;
mod limit;
mod log;
mod maps;
mod mechanism;
mod pins;
mod predecessors;
mod probe;
mod refusal;
mod retired;
mod set;
mod sets;
mod start;
mod uninstall;

pub use instances::{Stray, instances, remove_stray, strays};
pub use kernel::possible_cpus;
pub use pins::layout::slots_for;
pub use probe::probe;
pub use start::{find_retired, look, start};
pub use uninstall::{Survey, SurveyedAttachment, SurveyedPins, survey, uninstall};
