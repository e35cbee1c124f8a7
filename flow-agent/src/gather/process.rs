//! Runs a program that may hang, shout, or write without end.
#![expect(clippy::disallowed_methods, reason = "edge: processes")]

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, set_parent_process_death_signal, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::MOST_FILE_BYTES;
use super::error::FetchError;

/// More is read, so that the program is not held up, and thrown away.
const MOST_SAID_BYTES: usize = 16 << 10;

/// How a program ended, and what it said.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Its first words, as they came.
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Runs `program` to its end, with `input` or none, and with no right to make a file larger than [`MOST_FILE_BYTES`].
/// Dropping the future kills it, and everything that it started.
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
    // Messages are told apart by their words, and a display would let ssh ask with a window.
    command.env("LC_ALL", "C").env_remove("DISPLAY").env_remove("SSH_ASKPASS").env_remove("SSH_AUTH_SOCK");
    command.process_group(0);
    // SAFETY: between fork and exec only async-signal-safe functions may run. Both are bare system calls, without
    // allocation or locks.
    unsafe {
        command.pre_exec(|| {
            let limit = Rlimit { current: Some(MOST_FILE_BYTES), maximum: Some(MOST_FILE_BYTES) };
            setrlimit(Resource::Fsize, limit)?;
            // So that nothing goes on in the background when this program is killed.
            set_parent_process_death_signal(Some(Signal::KILL))?;
            Ok(())
        });
    }
    let started = |source| FetchError::Start { program, source };
    let mut group = Group { child: command.spawn().map_err(started)? };
    let stdout = group.child.stdout.take().expect("stdout is piped");
    let stderr = group.child.stderr.take().expect("stderr is piped");
    if let (Some(mut stdin), Some(input)) = (group.child.stdin.take(), input) {
        // A program that does not want it says so by how it ends.
        if let Err(error) = stdin.write_all(input.as_bytes()).await {
            tracing::debug!(program, %error, "it did not read what it was given");
        }
    }
    let (stdout, stderr) = tokio::join!(first_words(stdout), first_words(stderr));
    let status = group.child.wait().await.map_err(started)?;
    Ok(Ended { status, stdout, stderr })
}

async fn first_words(mut pipe: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut said, mut chunk) = (Vec::new(), [0; 1024]);
    // The end of a pipe whose other end nobody holds any more is all that its errors could say.
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        let rest = MOST_SAID_BYTES.saturating_sub(said.len());
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
        // `id` is none once the child was waited for: its group may be somebody else's then.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(Err(error)) = id.map(|id| kill_process_group(id, Signal::KILL)) {
            tracing::warn!(%error, "failed to end a program that took too long");
        }
    }
}
