//! EDGE processes: runs a program with a text as its input, until it ends or a deadline passes. Every program that
//! flow-agent starts is started here.
#![expect(clippy::disallowed_methods, reason = "edge: processes")]

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, set_parent_process_death_signal, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};

/// How a program ended, and its output as text.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    /// The beginning of its error output, on one line.
    pub stderr: String,
}

/// How a program ended, and its output as bytes.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// The first [`ProcessLimits::output_bytes`] of its output.
    pub stdout: Vec<u8>,
    /// The first [`ProcessLimits::output_bytes`] of its error output.
    pub stderr: Vec<u8>,
}

/// Limits for a program.
#[derive(Clone, Copy, Debug)]
pub struct ProcessLimits {
    /// How much of each output is kept. The rest is read and discarded, so that the program does not block.
    pub output_bytes: usize,
    /// The largest file that it may write; `None` for no limit.
    pub file_bytes: Option<u64>,
    /// Whether it is killed when flow-agent is killed.
    pub dies_with_caller: bool,
}

/// Why there is no output of a program.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("failed to run {}", program.display())]
    Run {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} did not exit within {secs} s", program.display())]
    Hung { program: PathBuf, secs: u64 },
}

/// The longest that a program on this host may take. Minutes are needed for tens of thousands of ports on a slow host.
const DEADLINE: Duration = Duration::from_secs(300);
/// How many characters of the error output a message contains.
const STDERR_CHARS: usize = 500;

/// Runs `program` in the network namespace of the calling thread, and waits for its end; `input` is its standard input.
///
/// # Errors
/// When it cannot be started, or does not end within five minutes, in which case it is killed.
pub fn run(program: &Path, arguments: &[&str], input: &str) -> Result<Output, ProcessError> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    // A restore that has begun must not end half-way because the agent was killed.
    let limits = ProcessLimits { output_bytes: usize::MAX, file_bytes: None, dies_with_caller: false };
    let error = |source| ProcessError::Run { program: program.to_owned(), source };
    let run = async {
        let ended = run_within(program, &arguments, Some(input), limits);
        match tokio::time::timeout(DEADLINE, ended).await {
            Ok(ended) => ended.map_err(error),
            Err(_) => Err(ProcessError::Hung { program: program.to_owned(), secs: DEADLINE.as_secs() }),
        }
    };
    // A separate thread, because the caller may be part of a runtime, which cannot block on another one. The thread is
    // in the network namespace of the one that starts it.
    let ended = thread::scope(|scope| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(error)?;
        scope.spawn(move || runtime.block_on(run)).join().expect("running a program does not panic")
    })?;
    Ok(Output {
        status: ended.status,
        stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
        stderr: one_line(&String::from_utf8_lossy(&ended.stderr)),
    })
}

/// Runs `program` to its end, with `input` as its standard input. Dropping the future kills it and every process that
/// it started.
///
/// # Errors
/// When it cannot be started, or its input cannot be written.
pub async fn run_within(
    program: &Path,
    arguments: &[OsString],
    input: Option<&str>,
    limits: ProcessLimits,
) -> io::Result<Ended> {
    let mut group = Group { child: command(program, arguments, input.is_some(), limits).spawn()? };
    let stdin = group.child.stdin.take();
    let stdout = group.child.stdout.take().expect("stdout is piped");
    let stderr = group.child.stderr.take().expect("stderr is piped");
    // All at the same time, so that neither side blocks on a full pipe. When both outputs end, the program has ended.
    let (written, stdout, stderr) = tokio::join!(
        write(stdin, input.unwrap_or_default()),
        first_bytes(stdout, limits.output_bytes),
        first_bytes(stderr, limits.output_bytes),
    );
    let status = group.child.wait().await?;
    written?;
    Ok(Ended { status, stdout: stdout?, stderr: stderr? })
}

fn command(program: &Path, arguments: &[OsString], has_input: bool, limits: ProcessLimits) -> Command {
    let mut command = Command::new(program);
    let stdin = if has_input { Stdio::piped() } else { Stdio::null() };
    command.args(arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Errors are recognized by their English text, and with a display ssh would open a window to ask.
    command.env("LC_ALL", "C").env_remove("DISPLAY").env_remove("SSH_ASKPASS").env_remove("SSH_AUTH_SOCK");
    // Ctrl-C at the terminal is meant for flow-agent, which then stops in its own time. A restore must not end
    // half-way.
    command.process_group(0);
    // SAFETY: between fork and exec only async-signal-safe functions may run. Both are bare system calls, without
    // allocation or locks.
    unsafe {
        command.pre_exec(move || {
            if let Some(bytes) = limits.file_bytes {
                setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), maximum: Some(bytes) })?;
            }
            if limits.dies_with_caller {
                set_parent_process_death_signal(Some(Signal::KILL))?;
            }
            Ok(())
        });
    }
    command
}

async fn write(stdin: Option<ChildStdin>, input: &str) -> io::Result<()> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    match stdin.write_all(input.as_bytes()).await {
        // A program that rejects its arguments does not read its input; its exit status shows that.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

async fn first_bytes(mut pipe: impl AsyncRead + Unpin, most: usize) -> io::Result<Vec<u8>> {
    let (mut kept, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let read = pipe.read(&mut chunk).await?;
        if read == 0 {
            return Ok(kept);
        }
        kept.extend_from_slice(&chunk[..read.min(most - kept.len())]);
    }
}

/// A child process and its descendants. They are killed if this is dropped before the child was waited for.
struct Group {
    child: Child,
}

impl Drop for Group {
    fn drop(&mut self) {
        // `id` is `None` once the child was waited for, because from then on its number may belong to another process.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(Err(error)) = id.map(|id| kill_process_group(id, Signal::KILL)) {
            tracing::warn!(%error, "failed to kill a program that took too long");
        }
    }
}

/// Joins the lines of an error output, without the advice that some programs add.
fn one_line(text: &str) -> String {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("Try `") && !line.starts_with("# Warning: ip"));
    lines.collect::<Vec<_>>().join("; ").chars().take(STDERR_CHARS).collect()
}

#[cfg(test)]
mod tests;
