//! The instructions of a program as the kernel runs them, with lookups inlined and dead branches removed.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use aya::programs::SchedClassifier;

/// One instruction: `struct bpf_insn`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The instructions of a classifier for plain packets: all of it except the subprogram that handles every other frame.
pub struct Plain(Vec<Instruction>);

/// A call. Its source register says of which kind: 0 for a helper, 1 for a subprogram.
const CALL: u8 = 0x85;
const SUBPROGRAM: u8 = 1;
const EXIT: u8 = 0x95;
/// The atomic instructions on 32 and on 64 bits, which lock the bus.
const ATOMIC: [u8; 2] = [0xc3, 0xdb];
/// The load of a 64-bit number, the only instruction that takes two places.
const LOAD_LONG: u8 = 0x18;
const GO: u8 = 0x05;
/// A jump whose distance is in the field in which other instructions have their number.
const GO_FAR: u8 = 0x06;
/// The classes of jumps: the low three bits of a code.
const JUMPS: [u8; 2] = [0x05, 0x06];

impl Plain {
    /// # Panics
    /// When the kernel does not return the instructions, or the program does not begin with the code for plain packets.
    pub fn of(program: &SchedClassifier) -> Self {
        let mut instructions = translated(program);
        // The subprogram begins where the program ends.
        let calls = instructions.iter().enumerate().filter(|(_, instruction)| instruction.calls() == Some(SUBPROGRAM));
        // For a call of a subprogram, the kernel gives the distance.
        let begins = calls.map(|(at, call)| at.wrapping_add_signed(1 + call.offset as isize)).min();
        instructions.truncate(begins.expect("other frames than plain ones have a subprogram"));
        Self(instructions)
    }

    /// The number of instructions.
    pub fn instructions(&self) -> usize {
        self.0.len()
    }

    /// The largest number of instructions that a plain packet can pass through.
    pub fn longest_way(&self) -> usize {
        let mut ways = vec![None; self.0.len()];
        self.way(0, &mut ways).unwrap_or(0)
    }

    pub fn helper_calls(&self) -> usize {
        self.0.iter().filter(|instruction| instruction.calls().is_some_and(|kind| kind != SUBPROGRAM)).count()
    }

    pub fn atomics(&self) -> usize {
        self.0.iter().filter(|instruction| ATOMIC.contains(&instruction.code)).count()
    }

    /// The length of the longest path from here to the end without a call of the subprogram; `None` if there is none.
    /// There are no loops.
    fn way(&self, at: usize, known: &mut [Option<Option<usize>>]) -> Option<usize> {
        if let Some(way) = known[at] {
            return way;
        }
        let instruction = self.0[at];
        let jump = |distance: i32| at.wrapping_add_signed(1 + distance as isize);
        let rest = match instruction.code {
            EXIT => Some(0),
            CALL if instruction.calls() == Some(SUBPROGRAM) => None,
            CALL => self.way(at + 1, known),
            GO => self.way(jump(instruction.offset.into()), known),
            GO_FAR => self.way(jump(instruction.immediate), known),
            LOAD_LONG => self.way(at + 2, known),
            code if JUMPS.contains(&(code & 7)) => {
                self.way(at + 1, known).max(self.way(jump(instruction.offset.into()), known))
            }
            _ => self.way(at + 1, known),
        };
        let way = rest.map(|rest| rest + 1);
        known[at] = Some(way);
        way
    }
}

impl Instruction {
    /// The kind of call; `None` if this is not a call.
    fn calls(self) -> Option<u8> {
        (self.code == CALL).then_some(self.registers >> 4)
    }
}

fn translated(program: &SchedClassifier) -> Vec<Instruction> {
    const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
    /// The part of `union bpf_attr` that this command uses.
    #[repr(C)]
    struct Attributes {
        descriptor: i32,
        info_bytes: u32,
        info: u64,
    }
    /// The beginning of `struct bpf_prog_info`.
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
    let descriptor = program.fd().expect("the program is loaded").as_fd().as_raw_fd();
    let mut instructions = vec![Instruction::default(); 1_000_000];
    let mut info = Info {
        translated_bytes: u32::try_from(size_of_val(&*instructions)).expect("eight million bytes"),
        translated: instructions.as_mut_ptr() as u64,
        ..Info::default()
    };
    let info_bytes = u32::try_from(size_of::<Info>()).expect("a few bytes");
    let attributes = Attributes { descriptor, info_bytes, info: &raw mut info as u64 };
    // SAFETY: the attributes are a `union bpf_attr` of this command, and what they point to lives until the call
    // returns and is as large as they say.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &raw const attributes, size_of::<Attributes>()) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    instructions.truncate(info.translated_bytes as usize / size_of::<Instruction>());
    instructions
}
