//! EDGE kernel: what eBPF needs to know of this kernel, and the system calls that no library of ours makes.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::backend::BackendError;
use crate::backend::netlink::Direction;

// include/uapi/linux/bpf.h
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// Most programs at one hook (kernel/bpf/mprog.c).
const MPROG_MAX: usize = 64;

/// CPUs that may ever come online: the kernel counts on each of them.
///
/// # Errors
/// When the kernel does not say.
pub fn possible_cpus() -> Result<u32, BackendError> {
    let cpus = aya::util::nr_cpus().map_err(|(path, source)| BackendError::Path {
        action: "read",
        path: path.into(),
        source,
    })?;
    Ok(u32::try_from(cpus).expect("no machine has 2^32 CPUs"))
}

/// Gives back to the system what parsing the kernel's types has taken.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointers, and may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Kernels before 5.11 account maps to the locked memory of the process.
pub fn allow_locked_memory() {
    let unlimited = Rlimit { current: None, maximum: None };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        tracing::debug!(%error, "locked memory stays limited, which matters before Linux 5.11");
    }
}

/// Raises the limit of open files as far as we may: each device takes two for its links and one for its lock.
pub fn allow_open_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// `enum bpf_attach_type` of a TCX hook.
pub fn tcx_attach_type(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => BPF_TCX_INGRESS,
        Direction::Egress => BPF_TCX_EGRESS,
    }
}

/// What is attached to one TCX hook, in the order in which packets meet it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hook {
    /// Program id and link id (0: attached without a link).
    pub attached: Vec<(u32, u32)>,
}

/// Asks what is attached to a TCX hook of a device of this network namespace. `None`: there is no such device.
///
/// # Errors
/// `EINVAL` where the kernel knows no TCX.
pub fn query_tcx(index: u32, direction: Direction) -> io::Result<Option<Hook>> {
    /// The member `query` of `union bpf_attr`.
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
    // SAFETY: this is the member of `union bpf_attr` for the command; the two arrays live over the call and are as long
    // as it tells.
    let result = unsafe { bpf(BPF_PROG_QUERY, &mut query) };
    if let Err(error) = result {
        return match error.raw_os_error() {
            Some(libc::ENODEV) => Ok(None),
            // Nothing was ever attached there.
            Some(libc::ENOENT) => Ok(Some(Hook::default())),
            _ => Err(error),
        };
    }
    let attached = programs.into_iter().zip(links).take(query.prog_cnt as usize).collect();
    Ok(Some(Hook { attached }))
}

/// The system call.
///
/// # Safety
/// `attribute` is the member of `union bpf_attr` that belongs to the command, and what it points to is valid for what the
/// kernel does with it.
pub unsafe fn bpf<T>(command: libc::c_int, attribute: &mut T) -> io::Result<i32> {
    // SAFETY: the attribute is as long as is said and lives over the call; the rest is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attribute), size_of::<T>()) };
    match i32::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        Ok(_) | Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Whether this kernel has TCX (6.6 and on).
///
/// # Errors
/// When it may not be asked.
pub fn has_tcx() -> io::Result<bool> {
    // Whether there is such a device does not matter: a kernel without TCX refuses before it looks.
    match query_tcx(1, Direction::Ingress) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}
