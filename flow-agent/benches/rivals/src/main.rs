//! The programs with which `cargo xtask bench packet` compares the classifiers; they are not shipped. All of them
//! handle incoming Ethernet packets, and read plain ones with the classifiers' own parser, so that they differ only in
//! where they count.
//!
//! | program | what it does |
//! |---|---|
//! | `empty` | nothing: the baseline |
//! | `per_cpu_hash` | adds to the cells of the local port in a per-CPU hash |
//! | `flow_map` | adds to the packet's flow in an LRU hash, as flow exporters do |
//! | `random_port` | gives the packet another destination port, and continues with the program in `NEXT` |
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
#[path = "../../../../flow-ebpf/src/atomic.rs"]
mod atomic;
#[cfg(target_arch = "bpf")]
mod programs;
#[cfg(target_arch = "bpf")]
#[path = "../../../../flow-ebpf/src/skb.rs"]
#[allow(dead_code, reason = "the classifiers read other frames than plain ones, too")]
mod skb;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
