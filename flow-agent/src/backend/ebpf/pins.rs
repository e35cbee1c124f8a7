//! EDGE kernel: the pins in bpffs, by which a successor finds the counters.

pub mod bpffs;
pub mod layout;
pub mod object;
