//! The classifiers that refuse packets, run by the kernel on frames that are made by hand (`BPF_PROG_TEST_RUN`). On a
//! single CPU the limit is kept to the byte.

use aya::Ebpf;
use aya::maps::Array;
use aya::programs::{TestRun, TestRunOptions};
use flow_common::wire::lines_for;

use crate::classifiers::{self, GATED_PROGRAMS, Settings};
use crate::common::frames::{MORE_FRAGMENTS, TCP, UDP, frame, ipv4, ipv4_with, ipv6, tcp, udp};
use crate::common::have_root;

const SLOTS: u32 = 64;
const LIMITED: u16 = 8388;
const FREE: u16 = 443;
const FAR: u16 = 50_000;
/// IPv4 and TCP headers, and the payload.
const PACKET: u64 = 20 + 20 + 1_000;

const PASS: i32 = -1;
/// `TC_ACT_SHOT`
const REFUSE: i32 = 2;

fn load(settings: Settings, limit: u64) -> Option<Ebpf> {
    if !have_root("the eBPF programs") {
        return None;
    }
    let mut object = classifiers::object_with_budget(SLOTS, settings, limit);
    for program in GATED_PROGRAMS {
        classifiers::load(&mut object, program).unwrap();
    }
    classifiers::watch(&mut object, [FREE, LIMITED]);
    classifiers::lead_to_budget(&mut object, LIMITED);
    Some(object)
}

/// The verdict on a frame that is addressed to `lo`.
fn run(object: &Ebpf, program: &str, frame: &[u8]) -> i32 {
    let mut frame = frame.to_vec();
    frame[..6].fill(0);
    let run = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::new() };
    classifiers::program(object, program).test_run(run).unwrap().return_value.cast_signed()
}

/// What the cells of a slot hold over all CPUs, in and out, of both protocols.
fn counted(object: &Ebpf, slot: u32) -> u64 {
    let cells: Array<_, [u64; 8]> = object.map("CELLS").unwrap().try_into().unwrap();
    let of_slot = (slot..cells.len()).step_by(lines_for(SLOTS) as usize);
    of_slot.map(|index| cells.get(&index, 0).unwrap().iter().step_by(2).sum::<u64>()).sum()
}

/// What was refused for a slot: bytes and packets in, then out.
fn refused(object: &Ebpf, slot: u32) -> [u64; 4] {
    let refused: Array<_, [u64; 4]> = object.map("REFUSED").unwrap().try_into().unwrap();
    refused.get(&slot, 0).unwrap()
}

fn raise(object: &mut Ebpf, by: u64) {
    let mut budgets: Array<_, [u64; 16]> = object.map_mut("BUDGETS").unwrap().try_into().unwrap();
    let mut budget = budgets.get(&1, 0).unwrap();
    budget[0] += by;
    budgets.set(1, budget, 0).unwrap();
}

#[test]
fn exactly_what_the_budget_allows_passes() {
    for atomic in [false, true] {
        let Some(mut object) = load(Settings { atomic, ..Settings::default() }, 7 * PACKET + 39) else { return };
        let (incoming, outgoing) =
            (frame(&ipv4(TCP, &tcp(FAR, LIMITED, 1_000))), frame(&ipv4(TCP, &tcp(LIMITED, FAR, 1_000))));
        for _ in 0..3 {
            assert_eq!(run(&object, "gated_in_eth", &incoming), PASS);
            assert_eq!(run(&object, "gated_out_eth", &outgoing), PASS);
        }
        assert_eq!(run(&object, "gated_in_eth", &incoming), PASS);
        // 39 bytes are left, and the smallest packet has 40.
        assert_eq!(run(&object, "gated_out_eth", &outgoing), REFUSE);
        assert_eq!(run(&object, "gated_in_eth", &frame(&ipv4(TCP, &tcp(FAR, LIMITED, 0)))), REFUSE);
        assert_eq!(counted(&object, 2), 7 * PACKET);
        assert_eq!(refused(&object, 2), [40, 1, PACKET, 1]);
        // The kernel's tick, which may take up to ten milliseconds, may still be the same.
        raise(&mut object, PACKET);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(run(&object, "gated_out_eth", &outgoing), PASS);
        assert_eq!(run(&object, "gated_out_eth", &outgoing), REFUSE);
        assert_eq!(counted(&object, 2), 8 * PACKET);
    }
}

#[test]
fn a_port_without_a_budget_passes_whatever_it_likes() {
    let Some(object) = load(Settings::default(), 0) else { return };
    for program in ["gated_in_eth", "gated_out_eth"] {
        let free = if program.contains("_in_") { udp(FAR, FREE, 500) } else { udp(FREE, FAR, 500) };
        assert_eq!(run(&object, program, &frame(&ipv6(UDP, &free))), PASS);
    }
    assert_eq!(run(&object, "gated_in_eth", &frame(&ipv4(UDP, &udp(FAR, LIMITED, 1)))), REFUSE);
    assert_eq!((counted(&object, 1), counted(&object, 2)), (2 * (40 + 8 + 500), 0));
    assert_eq!((refused(&object, 1), refused(&object, 2)), ([0; 4], [29, 1, 0, 0]));
}

#[test]
fn fragments_share_the_budget_of_their_datagram() {
    // The first fragment of 20 + 1,480 bytes fits, and the second of 1,480 does not.
    let Some(object) = load(Settings::default(), 2_000) else { return };
    let datagram = udp(FAR, LIMITED, 3_000);
    let fragment = |from: usize, to: usize, more: u16| {
        frame(&ipv4_with(UDP, 0, 7, more | u16::try_from(from / 8).unwrap(), &datagram[from..to]))
    };
    assert_eq!(run(&object, "gated_in_eth", &fragment(0, 1_480, MORE_FRAGMENTS)), PASS);
    assert_eq!(run(&object, "gated_in_eth", &fragment(1_480, 2_960, MORE_FRAGMENTS)), REFUSE);
    assert_eq!(run(&object, "gated_in_eth", &fragment(2_960, 3_008, 0)), REFUSE);
    assert_eq!(counted(&object, 2), 1_500);
    assert_eq!(refused(&object, 2), [1_480 + 48, 0, 0, 0]);
}
