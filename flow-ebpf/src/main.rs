//! The TC classifiers: the first set adds to one cell and never decides. The second set (`gated.rs`) also refuses what a budget
//! does not allow, and is loaded only where a user has one.
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
//! The plain packet, which nearly all are, is read by direct access: about 80 instructions, no helper call (on kernels
//! that inline array lookups and the CPU's number), no atomic instruction. Every other frame is read through a helper, in
//! a program of its own: 25 to 75 ns more, and 110 to 300 for fragments. Reading those directly as well, wherever their
//! headers lie in reach, saved half of that and made the verifier walk 330,000 instructions instead of 10,000.
//!
//! # Where the nanoseconds go
//!
//! `cargo xtask bench packet` measures them. What follows was seen on Linux 6.18 on a virtual Zen 4, where the empty program's
//! run takes 26.5 ns, nearly all of it the kernel's own loop, and a plain packet 4.5 to 5 ns on top of it: 0.8 for the frame of
//! the program and whom the packet is for, 2.3 for its headers, 1.1 for the port table and 1.1 for the cell.
//!
//! - It is the number of instructions, not what they wait for. 36 more simple ones cost 2.7 ns; a chain of eight
//!   multiplications before the cell's address, 24 cycles long, cost 0.8 ns; that one packet adds to what the last one
//!   stored does not show.
//! - Where the kernel puts the code is chance, and worth half a nanosecond either way. Differences below 0.2 ns are none.
//! - While somebody else has the other thread of the core, the empty program takes 34 ns and ours 8.5 on top of it (1.25
//!   times). Ratios of two such moments cannot be compared.
//!
//! Tried and left, because there was no difference in the mean over many loads: no load of `ATOMIC`; the cell by arithmetic
//! instead of a branch; the port table and the CPU's number before the headers, which saves a register; TCP asked for
//! first; the other frames' branch marked as cold (to mark `count_other` itself makes the stacks too large together).
//! Reading the EtherType with the version, and the fragment's field with the protocol, as 32 bits each, saved 0.2 ns with
//! IPv4 and none with IPv6, and needs reads that are not aligned; where the compiler is told that it may do such, it does them
//! on the stack, too, which the verifier refuses. Addressing the port table directly, as the constants are, saves 0.4 ns: aya
//! offers that for sections only, which user space cannot map.
//!
//! With ports at random, two reads that depend on each other leave the nearest cache: the port's slot and the cell. Beyond
//! the hot port's cost that is 1 ns with 1,000 ports, 5 with 4,000, 10 with 10,000 (640 kB of cells on each CPU: the second
//! cache), and 55 with all of them (4 MB). What other programs push out of the caches comes on top of it. Hashes pay the
//! same several times over.
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
