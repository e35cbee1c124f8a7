//! EDGE kernel: what eBPF needs to know about this kernel, and system calls that our libraries do not offer.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::backend::BackendError;
use crate::backend::netlink::Direction;

// include/uapi/linux/bpf.h
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// The largest number of programs at one hook (kernel/bpf/mprog.c).
const MPROG_MAX: usize = 64;

/// The number of CPUs that may ever come online. The kernel keeps counters for each of them.
///
/// # Errors
/// When the kernel's list cannot be read.
pub fn possible_cpus() -> Result<u32, BackendError> {
    let cpus = aya::util::nr_cpus().map_err(|(path, source)| BackendError::Path {
        action: "read",
        path: path.into(),
        source,
    })?;
    Ok(u32::try_from(cpus).expect("no machine has 2^32 CPUs"))
}

/// Returns to the system the memory that parsing the kernel's types took.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes no pointers, and may be made at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lifts the limit of locked memory: kernels before 5.11 charge maps to it.
pub fn allow_locked_memory() {
    let unlimited = Rlimit { current: None, maximum: None };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        tracing::debug!(%error, "failed to lift the locked memory limit, which matters before Linux 5.11");
    }
}

/// Raises the limit of open files as far as permitted: each device needs two for its links and one for its lock.
pub fn allow_open_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "failed to raise the limit of open files");
    }
}

/// The `enum bpf_attach_type` value of a TCX hook.
pub fn tcx_attach_type(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => BPF_TCX_INGRESS,
        Direction::Egress => BPF_TCX_EGRESS,
    }
}

/// The programs attached to one TCX hook, in the order in which packets meet them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hook {
    /// Program id and link id. The link id is 0 for programs attached without a link.
    pub attached: Vec<(u32, u32)>,
}

/// Queries what is attached to a TCX hook of a device in this network namespace. `None` if there is no such device.
///
/// # Errors
/// `EINVAL` if the kernel has no TCX.
pub fn query_tcx(index: u32, direction: Direction) -> io::Result<Option<Hook>> {
    /// The variant `query` of `union bpf_attr`.
    #[repr(C)]
    struct Query {
        target_ifindex: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        prog_ids: u64,
        prog_cnt: u32,
        padding: u32,
        prog_attach_flags: u64,
        link_ids: u64,
        link_attach_flags: u64,
        revision: u64,
    }
    let mut programs = [0_u32; MPROG_MAX];
    let mut links = [0_u32; MPROG_MAX];
    let mut query = Query {
        target_ifindex: index,
        attach_type: tcx_attach_type(direction),
        query_flags: 0,
        attach_flags: 0,
        prog_ids: programs.as_mut_ptr().expose_provenance() as u64,
        prog_cnt: MPROG_MAX as u32,
        padding: 0,
        prog_attach_flags: 0,
        link_ids: links.as_mut_ptr().expose_provenance() as u64,
        link_attach_flags: 0,
        revision: 0,
    };
    // SAFETY: this is the variant of `union bpf_attr` for the command; the two arrays outlive the call and have the
    // stated length.
    let result = unsafe { bpf(BPF_PROG_QUERY, &mut query) };
    if let Err(error) = result {
        return match error.raw_os_error() {
            Some(libc::ENODEV) => Ok(None),
            // Nothing has ever been attached there.
            Some(libc::ENOENT) => Ok(Some(Hook::default())),
            _ => Err(error),
        };
    }
    let attached = programs.into_iter().zip(links).take(query.prog_cnt as usize).collect();
    Ok(Some(Hook { attached }))
}

/// The `bpf` system call.
///
/// # Safety
/// `attribute` must be the variant of `union bpf_attr` for the command, and what it points to must be valid for what
/// the kernel does with it.
pub unsafe fn bpf<T>(command: libc::c_int, attribute: &mut T) -> io::Result<i32> {
    // SAFETY: the stated size is that of the attribute, which outlives the call; the caller promises the rest.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attribute), size_of::<T>()) };
    match i32::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        Ok(_) | Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Whether this kernel has TCX (Linux 6.6 and later).
///
/// # Errors
/// When the query is not permitted.
pub fn has_tcx() -> io::Result<bool> {
    // It does not matter whether device 1 exists: a kernel without TCX fails before it looks.
    match query_tcx(1, Direction::Ingress) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}
