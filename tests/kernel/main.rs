//! The backends on a real kernel: root, in network namespaces and on a bpffs of their own.

#[path = "../common/mod.rs"]
mod common;

mod agent;
mod attach;
mod counted;
mod support;
