//! EDGE kernel: the maps of a set of counters: their expected layout, their memory, and the owners of their slots.

pub mod slots;
pub mod spec;
pub mod tables;
