//! Somebody else's program: a classifier of two instructions, attached at the same place as ours.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

// include/uapi/linux/bpf.h
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
pub const TCX_INGRESS: u32 = 46;
pub const TCX_EGRESS: u32 = 47;
const BPF_F_BEFORE: u32 = 1 << 3;
/// Lets the packet pass, without any later program seeing it.
pub const TCX_PASS: i32 = 0;
/// Leaves the packet to the next program.
pub const TCX_NEXT: i32 = -1;

/// A link to a program that returns `verdict` for every packet, in front of all others, in the network namespace of the
/// calling thread. Detached when dropped.
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
    // SAFETY: the command returns a new file descriptor, which is ours.
    bpf(BPF_LINK_CREATE, &mut attribute).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Pins a program that returns `verdict`, so that `tc` can use it.
pub fn pin(verdict: i32, path: &Path) -> io::Result<()> {
    let program = load(verdict)?;
    #[repr(C)]
    struct ObjectPin {
        pathname: u64,
        bpf_fd: u32,
        file_flags: u32,
    }
    let path = CString::new(path.as_os_str().as_bytes())?;
    let pathname = path.as_ptr().expose_provenance() as u64;
    let mut attribute = ObjectPin { pathname, bpf_fd: program.as_raw_fd().cast_unsigned(), file_flags: 0 };
    bpf(BPF_OBJ_PIN, &mut attribute).map(drop)
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
    // SAFETY: the command returns a new file descriptor, which is ours.
    bpf(BPF_PROG_LOAD, &mut attribute).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(command: libc::c_int, attribute: &mut T) -> io::Result<i32> {
    // SAFETY: the attribute is initialised and as long as stated, and what it points to lives until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attribute), size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(i32::try_from(result).expect("an int"))
}
