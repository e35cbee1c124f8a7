//! The TC classifiers: they add to one cell and never decide.
//!
//! What a loader needs to know (the types are those of `flow_common::wire`):
//!
//! | what | name |
//! |---|---|
//! | programs (section `classifier`) | `ingress_eth`, `egress_eth` for devices with an Ethernet header, `ingress_ip`, `egress_ip` for those without one |
//! | maps to size and map into user space | `CELLS` (`Line`, possible CPUs × `LINES` elements), `SLOT_OWNER` (`SlotOwner`, one for each slot, index 0 unused) |
//! | map to map into user space | `PORT_SLOT` (`PortSlots`, one element) |
//! | other maps | `FRAGMENTS` (`FragmentKey` to `FragmentValue`), `AYA_LOGS` (aya-log's ring) |
//! | constants, all `u32` | `LINES` (lines a CPU), and, 0 or 1: `COUNT_WIRE` (count what crosses the wire), `ATOMIC` (for realtime kernels, where two programs interleave on one CPU), `LOG` (frames that could not be parsed) |
//!
//! The plain packet, which nearly all are, is read by direct access: about 80 instructions, no helper call (on kernels
//! that inline array lookups and the CPU's number), no atomic instruction. Every other frame is read through a helper, in
//! a program of its own: 10 to 30 ns more, and more for fragments. Reading those directly as well, wherever their headers
//! lie in reach, saved half of that and made the verifier walk 330,000 instructions instead of 10,000.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod atomic;
#[cfg(target_arch = "bpf")]
mod classifier;
#[cfg(target_arch = "bpf")]
mod skb;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
