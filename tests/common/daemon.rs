//! A server started by a test, identified by its process id, and ended when dropped.

use std::io;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A child process that ends when this is dropped: it gets SIGTERM, and is killed if it does not end within two
/// seconds.
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts `command`.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        Ok(Self { child: command.spawn()? })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Sends SIGTERM and waits for the end. Returns the exit code, or `None` if a signal ended it.
    pub fn terminate(mut self) -> io::Result<Option<i32>> {
        self.signal(rustix::process::Signal::TERM);
        Ok(self.child.wait()?.code())
    }

    /// Waits for the end. Returns the exit code, or `None` if a signal ended it.
    ///
    /// # Errors
    /// When it does not end within `timeout`, in which case it is killed.
    pub fn wait(mut self, timeout: Duration) -> io::Result<Option<i32>> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Sends a signal. A process that has ended already is left alone.
    pub fn signal(&self, signal: rustix::process::Signal) {
        // ESRCH means that it has ended by itself, which is what the signal was for.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        self.signal(rustix::process::Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            if self.has_ended() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // If this fails, nothing more can be done in a destructor.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `program` in the network namespace `netns`, with the mounts of this process (`ip netns exec` would hide bpffs).
pub fn in_netns(netns: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", Path::new("/run/netns").join(netns).display())).arg("--").arg(program);
    command
}

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not hold within `timeout`; the message says what was waited for.
pub fn wait_until(what: &str, timeout: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + timeout;
    while !condition() {
        assert!(Instant::now() < deadline, "gave up after {timeout:?} waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until both are equal, for at most five seconds: packets may still be on their way from one observer to the
/// other.
///
/// # Panics
/// When they are still different then; the message shows both.
pub fn assert_settles<T: PartialEq + std::fmt::Debug>(mut left: impl FnMut() -> T, mut right: impl FnMut() -> T) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let (left, right) = (left(), right());
        if left == right || Instant::now() >= deadline {
            assert_eq!(left, right);
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
