//! Counts the system calls that a piece of work makes, by tracing it.

use std::io;

use anyhow::{Result, bail};

/// Makes a copy of this process that does `work` once to warm up, and once more while every system call stops it.
///
/// # Errors
/// When the copy cannot be made or traced, or does not finish.
pub fn count(mut work: impl FnMut()) -> Result<u64> {
    // SAFETY: the copy has only this thread, may allocate (glibc holds its locks across the fork), and ends without
    // running exit handlers.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error().into()),
        0 => {
            // SAFETY: a plain system call without pointers.
            if unsafe { libc::ptrace(libc::PTRACE_TRACEME) } < 0 {
                // SAFETY: as above.
                unsafe { libc::_exit(1) }
            }
            work();
            // SAFETY: as above.
            unsafe { libc::kill(libc::getpid(), libc::SIGSTOP) };
            work();
            // SAFETY: as above.
            unsafe { libc::_exit(0) }
        }
        child => trace(child),
    }
}

fn trace(child: libc::pid_t) -> Result<u64> {
    let mut stops = 0_u64;
    let mut status = 0;
    loop {
        // SAFETY: `status` is ours, and the child is ours to wait for.
        if unsafe { libc::waitpid(child, &mut status, 0) } < 0 {
            return Err(io::Error::last_os_error().into());
        }
        if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 {
            // Every call stops it twice, except the last one, with which it ends. There was one more stop for the
            // signal.
            return Ok((stops - 2) / 2);
        }
        if !libc::WIFSTOPPED(status) {
            bail!("the copy of this process did not end by itself: status {status:#x}");
        }
        stops += 1;
        // SAFETY: the child is ours and stopped, and no signal is passed to it.
        if unsafe { libc::ptrace(libc::PTRACE_SYSCALL, child, 0, 0) } < 0 {
            return Err(io::Error::last_os_error().into());
        }
    }
}
