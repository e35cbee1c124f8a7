//! EDGE kernel: the maps of a set of counters: what they must look like, their memory, and who owns which slot of it.

pub mod slots;
pub mod spec;
pub mod tables;
