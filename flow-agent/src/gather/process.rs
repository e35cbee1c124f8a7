//! Runs a program that may hang or write without end.
#![expect(clippy::disallowed_methods, reason = "edge: processes")]

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, set_parent_process_death_signal, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::MOST_FILE_BYTES;
use super::error::FetchError;

/// How much of each output is kept. The rest is read and discarded, so that the program does not block.
const MAX_OUTPUT_BYTES: usize = 16 << 10;

/// The exit status of a program, and its output.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// The first bytes of its output, as they came.
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Runs `program` to its end, with `input` on its standard input, and with the file size limit [`MOST_FILE_BYTES`]. Dropping the
/// future kills it and every process that it started.
///
/// # Errors
/// When it cannot be started.
pub(super) async fn run(
    program: &'static str,
    arguments: &[OsString],
    input: Option<&str>,
) -> Result<Ended, FetchError> {
    let mut command = Command::new(program);
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    command.args(arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Errors are recognized by their English text, and with a display ssh would open a window to ask.
    command.env("LC_ALL", "C").env_remove("DISPLAY").env_remove("SSH_ASKPASS").env_remove("SSH_AUTH_SOCK");
    command.process_group(0);
    // SAFETY: between fork and exec only async-signal-safe functions may run. Both are bare system calls, without
    // allocation or locks.
    unsafe {
        command.pre_exec(|| {
            let limit = Rlimit { current: Some(MOST_FILE_BYTES), maximum: Some(MOST_FILE_BYTES) };
            setrlimit(Resource::Fsize, limit)?;
            // So that it does not run on when flow-agent is killed.
            set_parent_process_death_signal(Some(Signal::KILL))?;
            Ok(())
        });
    }
    let started = |source| FetchError::Start { program, source };
    let mut group = Group { child: command.spawn().map_err(started)? };
    let stdout = group.child.stdout.take().expect("stdout is piped");
    let stderr = group.child.stderr.take().expect("stderr is piped");
    if let (Some(mut stdin), Some(input)) = (group.child.stdin.take(), input) {
        // The exit status tells whether the program needed its input.
        if let Err(error) = stdin.write_all(input.as_bytes()).await {
            tracing::debug!(program, %error, "it did not read its input");
        }
    }
    let (stdout, stderr) = tokio::join!(first_bytes(stdout), first_bytes(stderr));
    let status = group.child.wait().await.map_err(started)?;
    Ok(Ended { status, stdout, stderr })
}

async fn first_bytes(mut pipe: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut said, mut chunk) = (Vec::new(), [0; 1024]);
    // An error here means only that nobody has the other end of the pipe open any more.
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        let rest = MAX_OUTPUT_BYTES.saturating_sub(said.len());
        said.extend_from_slice(&chunk[..read.min(rest)]);
    }
    said
}

/// A child and its descendants.
struct Group {
    child: Child,
}

impl Drop for Group {
    fn drop(&mut self) {
        // `id` is `None` after the child was waited for: from then on its number may belong to another group.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(Err(error)) = id.map(|id| kill_process_group(id, Signal::KILL)) {
            tracing::warn!(%error, "failed to kill a program that took too long");
        }
    }
}
