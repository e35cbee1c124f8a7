//! Explains why the kernel refused: a feature that it was built without, or a privilege that the caller lacks.

use std::io;

use crate::backend::BackendError;
use crate::backend::error::is_denied;
use crate::backend::privileges::{FOR_EBPF, Privileges};

/// The name in [`BackendError::Load`] of a failed attempt to make maps.
pub const MAPS: &str = "maps";

/// Wraps `error` in what the caller lacks, if that may be its cause. If the kernel does not have the system call at
/// all, the result says that instead, because no privilege would help.
///
/// The errors alone are ambiguous: the verifier refuses a bad program with the same code with which the kernel
/// refuses an unprivileged caller. And for a caller without CAP_PERFMON the verifier follows every branch that the
/// processor might take speculatively, until the program is "too large".
pub fn explain(error: BackendError, privileges: &Privileges) -> BackendError {
    let refused = match &error {
        BackendError::Load { .. } | BackendError::Attach { .. } => true,
        BackendError::Netlink { source, .. } => is_denied(source),
        _ => false,
    };
    if !refused {
        return error;
    }
    if is_unknown(&error) {
        return BackendError::Lacks { what: "eBPF (it was built without CONFIG_BPF_SYSCALL)" };
    }
    let mut missing = privileges.missing(FOR_EBPF);
    let is_of_maps =
        matches!(&error, BackendError::Load { what, source } if what == MAPS && is_denied(source.as_ref()));
    if missing.is_empty() && is_of_maps && privileges.locked_memory_is_limited {
        missing.push("a higher locked memory limit (RLIMIT_MEMLOCK, in systemd LimitMEMLOCK=infinity)");
    }
    match missing.as_slice() {
        [] => error,
        _ => BackendError::Privileges { missing, source: Box::new(error) },
    }
}

/// Whether the kernel does not have the system call.
fn is_unknown(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(|error| error.downcast_ref::<io::Error>().is_some_and(|error| error.raw_os_error() == Some(libc::ENOSYS)))
}

#[cfg(test)]
mod tests;
