//! EDGE kernel: system calls that pin objects and open pins.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::backend::ebpf::kernel::bpf;

// include/uapi/linux/bpf.h
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_OBJ_GET: libc::c_int = 7;

/// The variant of `union bpf_attr` that pins objects and opens pins.
#[repr(C)]
struct PinRequest {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// Pins a map or a link; `path` must not exist.
///
/// # Errors
/// When the kernel refuses.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut request =
        PinRequest { pathname: address(&path), bpf_fd: object.as_raw_fd().cast_unsigned(), file_flags: 0 };
    // SAFETY: this is the variant of `union bpf_attr` for the command, and the path outlives the call.
    unsafe { bpf(BPF_OBJ_PIN, &mut request) }.map(drop)
}

/// Opens a pinned object.
///
/// # Errors
/// When there is none, or when the kernel refuses.
pub fn open(pin: &Path) -> io::Result<OwnedFd> {
    let path = c_path(pin)?;
    let mut request = PinRequest { pathname: address(&path), bpf_fd: 0, file_flags: 0 };
    // SAFETY: this is the variant of `union bpf_attr` for the command, and the path outlives the call.
    let fd = unsafe { bpf(BPF_OBJ_GET, &mut request) }?;
    // SAFETY: the kernel has just made this descriptor for us, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn address(path: &CString) -> u64 {
    path.as_ptr().expose_provenance() as u64
}
