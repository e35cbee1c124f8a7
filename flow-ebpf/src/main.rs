//! The TC classifiers. The first set adds to one cell and never gives a verdict. The second set (`gated.rs`) also
//! refuses what a budget does not allow, and is loaded only if a user has one.
//!
//! What a loader needs to know (the types are those of `flow_common::wire`):
//!
//! | what | name |
//! |---|---|
//! | programs (section `classifier`) | `ingress_eth`, `egress_eth` for devices with an Ethernet header, `ingress_ip`, `egress_ip` for those without one |
//! | programs that also refuse | `gated_in_eth`, `gated_out_eth`, `gated_in_ip`, `gated_out_ip` |
//! | their maps (`flow_common::gate`), one element each unless sized | `PORT_BUDGET` (65,536 × `PortBudget`), `BUDGETS` (`Budget`, `BUDGET_LINES` elements), `SHARES` (`Share`, possible CPUs × `BUDGET_LINES`), `REFUSED` (`Refused`, one for each slot) |
//! | their constants | `BUDGET_LINES` (`u32`: budgets and one more), `PLENTY` (`u64`: bytes that must be left for a CPU to take some in advance) |
//! | maps to size and map into user space | `CELLS` (`Line`, possible CPUs × `LINES` elements), `SLOT_OWNER` (`SlotOwner`, one for each slot, index 0 unused) |
//! | map to map into user space | `PORT_SLOT` (`PortSlots`, one element) |
//! | other maps | `FRAGMENTS` (`FragmentKey` to `FragmentValue`), `AYA_LOGS` (aya-log's ring) |
//! | constants, all `u32` | `LINES` (lines a CPU), and, 0 or 1: `COUNT_WIRE` (count what crosses the wire), `ATOMIC` (for realtime kernels, where two programs interleave on one CPU), `LOG` (frames that could not be parsed) |
//!
//! Nearly all packets are plain packets, read by direct access: about 80 instructions, no helper call (on kernels that
//! inline array lookups and the CPU number), no atomic instruction. All others are read through a helper in a separate
//! function, which costs 25 to 75 ns more, and 110 to 300 ns for fragments. Reading those directly as well, where
//! possible, halved that cost but made the verifier walk 330,000 instructions instead of 10,000.
//!
//! # Where the nanoseconds go
//!
//! `cargo xtask bench packet` measures the times. On Linux 6.18 on a virtual Zen 4, an empty program takes 26.5 ns,
//! nearly all of it in the kernel's own loop, and a plain packet 4.5 to 5 ns more: 0.8 for the program's entry and the
//! check who the packet is for, 2.3 for its headers, 1.1 for the port table and 1.1 for the cell.
//!
//! - The number of instructions matters, and not what they wait for. 36 additional simple ones cost 2.7 ns. A chain of
//!   eight multiplications before the cell's address, 24 cycles long, cost 0.8 ns. It has no visible effect that one
//!   packet adds to what the previous one stored.
//! - Where the kernel places the code is random and makes half a nanosecond of difference. Less than 0.2 ns is noise.
//! - While somebody else uses the other thread of the core, the empty program takes 34 ns and ours 8.5 more (1.25
//!   times). Ratios from two such situations cannot be compared.
//!
//! Tried and rejected, because the mean over many loads did not change: no load of `ATOMIC`; the cell by arithmetic
//! instead of a branch; the port table and the CPU number before the headers, which saves a register; testing for TCP
//! first; marking the branch of other frames as cold (marking `count_other` itself makes the stacks too large
//! together). Reading the EtherType with the version, and the fragment field with the protocol, as 32 bits each, saved
//! 0.2 ns with IPv4 and nothing with IPv6. It needs unaligned reads; if the compiler is allowed to make them, it makes
//! them on the stack too, which the verifier refuses. Addressing the port table directly, like the constants, saves 0.4
//! ns, but aya offers that only for sections, which user space cannot map.
//!
//! With random ports, two dependent reads miss the nearest cache: the port's slot and the cell. Compared with a hot
//! port this costs 1 ns more with 1,000 ports, 5 with 4,000, 10 with 10,000 (640 kB of cells on each CPU, in the
//! second-level cache), and 55 with all ports (4 MB). Evictions caused by other programs come on top of that. Hash maps
//! pay the same several times over.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod atomic;
#[cfg(target_arch = "bpf")]
mod classifier;
#[cfg(target_arch = "bpf")]
mod gated;
#[cfg(target_arch = "bpf")]
mod skb;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
