//! What `cargo xtask bench packet` measures the classifiers beside; not shipped. All of them take packets of Ethernet that
//! come in, and read plain ones with the classifiers' own parser, so that what differs is where they count.
//!
//! | program | what it does |
//! |---|---|
//! | `empty` | nothing: the floor |
//! | `per_cpu_hash` | adds to the cells of the local port in a per-CPU hash |
//! | `flow_map` | adds to the packet's flow in an LRU hash, as flow exporters do |
//! | `random_port` | gives the packet another destination port, and goes on with the program in `NEXT` |
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
