//! The programs as the kernel runs them: what a packet costs.

use std::os::fd::{AsFd, AsRawFd};

use aya::programs::SchedClassifier;

use crate::program::Loaded;

/// One instruction of a program as the kernel runs it: `struct bpf_insn`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The translated program: lookups are inlined, and dead branches are gone.
fn translated(program: &SchedClassifier) -> Vec<Instruction> {
    const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
    /// What `union bpf_attr` is for this command.
    #[repr(C)]
    struct Attributes {
        descriptor: i32,
        info_bytes: u32,
        info: u64,
    }
    /// The head of `struct bpf_prog_info`.
    #[derive(Default)]
    #[repr(C)]
    struct Info {
        kind: u32,
        id: u32,
        tag: [u8; 8],
        machine_bytes: u32,
        translated_bytes: u32,
        machine: u64,
        translated: u64,
    }
    let descriptor = program.fd().unwrap().as_fd().as_raw_fd();
    let mut instructions = vec![Instruction::default(); 1_000_000];
    let mut info = Info {
        translated_bytes: u32::try_from(size_of_val(&*instructions)).unwrap(),
        translated: instructions.as_mut_ptr() as u64,
        ..Info::default()
    };
    let info_bytes = u32::try_from(size_of::<Info>()).unwrap();
    let attributes = Attributes { descriptor, info_bytes, info: &raw mut info as u64 };
    // SAFETY: the attributes are a `union bpf_attr` of this command, and what they point to lives over the call and
    // is as large as they say.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &raw const attributes, size_of::<Attributes>()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    instructions.truncate(info.translated_bytes as usize / size_of::<Instruction>());
    instructions
}

#[test]
fn a_plain_packet_costs_no_helper_call_and_no_atomic_instruction() {
    const CALL: u8 = 0x85;
    const ATOMIC: [u8; 2] = [0xc3, 0xdb];
    // Since 6.10 the verifier inlines the CPU's number, too.
    if kernel() < (6, 10) {
        eprintln!("SKIPPED: this kernel calls a helper for the CPU's number");
        return;
    }
    let Some(loaded) = Loaded::load(false) else { return };
    for program in ["ingress_eth", "egress_eth", "ingress_ip", "egress_ip"] {
        let instructions = translated(loaded.program(program));
        // The only call is that of what is not a plain packet, which begins where the program ends.
        let (at, call) = instructions.iter().enumerate().find(|(_, instruction)| instruction.code == CALL).unwrap();
        assert_eq!(call.registers >> 4, 1, "{program} calls helper {}", call.immediate);
        let end = (at + 1).strict_add_signed(call.offset.into());
        let plain = &instructions[..end];
        assert!(plain.len() < 250, "{program}: {} instructions", plain.len());
        assert_eq!(plain.iter().filter(|instruction| instruction.code == CALL).count(), 1, "{program}");
        assert!(plain.iter().all(|instruction| !ATOMIC.contains(&instruction.code)), "{program}");
    }
}

/// Major and minor version of the running kernel.
fn kernel() -> (u32, u32) {
    let uname = rustix::system::uname();
    let mut numbers = uname.release().to_str().unwrap().split('.').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}
