//! Which ports are watched, and whose they are.

pub mod spec;
