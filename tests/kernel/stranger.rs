//! Somebody else's program: a classifier of two instructions, attached where ours is.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// include/uapi/linux/bpf.h
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
pub const TCX_INGRESS: u32 = 46;
const BPF_F_BEFORE: u32 = 1 << 3;
/// Lets the packet pass, and no later program see it.
pub const TCX_PASS: i32 = 0;
/// Leaves the packet to the next program.
pub const TCX_NEXT: i32 = -1;

/// A link that lets every packet meet a program which returns `verdict`, before all others; detached when dropped. In the
/// network namespace of the calling thread.
pub fn attach_first(index: u32, hook: u32, verdict: i32) -> io::Result<OwnedFd> {
    let program = load(verdict)?;
    #[repr(C)]
    struct LinkCreate {
        prog_fd: u32,
        target_ifindex: u32,
        attach_type: u32,
        flags: u32,
        relative: u32,
        padding: u32,
        expected_revision: u64,
    }
    let mut attribute = LinkCreate {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        target_ifindex: index,
        attach_type: hook,
        flags: BPF_F_BEFORE,
        relative: 0,
        padding: 0,
        expected_revision: 0,
    };
    bpf(BPF_LINK_CREATE, &mut attribute)
}

fn load(verdict: i32) -> io::Result<OwnedFd> {
    // r0 = verdict; exit
    let instructions = [0xb7_u64 | u64::from(verdict.cast_unsigned()) << 32, 0x95];
    #[repr(C)]
    struct ProgramLoad {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
    }
    let mut attribute = ProgramLoad {
        prog_type: BPF_PROG_TYPE_SCHED_CLS,
        insn_cnt: 2,
        insns: instructions.as_ptr().expose_provenance() as u64,
        license: c"GPL".as_ptr().expose_provenance() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    bpf(BPF_PROG_LOAD, &mut attribute)
}

fn bpf<T>(command: libc::c_int, attribute: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the attribute is initialised, as long as is said, and what it points to lives over the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attribute), size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(result).expect("a file descriptor is an int");
    // SAFETY: both commands return a new file descriptor, which is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
