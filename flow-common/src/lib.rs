//! What the kernel and user space of flow-agent share: the types in the maps, the frame parser, and the gate that
//! enforces budgets.
//!
//! `no_std`, no dependencies and no kernel interfaces: the same code runs in the classifiers, in user space, in the
//! tests and in the fuzzer.
#![cfg_attr(not(test), no_std)]

pub mod frame;
pub mod gate;
pub mod wire;
