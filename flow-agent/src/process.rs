//! EDGE processes: runs a program with a text for its input, to its end or a deadline.
#![expect(clippy::disallowed_methods, reason = "edge: processes")]

use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    /// The last lines of what it said, on one line.
    pub stderr: String,
}

/// Why a program gave no output.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("failed to run {}", program.display())]
    Run {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} did not end within {secs} s", program.display())]
    Hung { program: PathBuf, secs: u64 },
}

/// Longest that one run may take: minutes are for tens of thousands of ports on a slow host.
const DEADLINE: Duration = Duration::from_secs(300);
/// Of what a program says when it fails, as much as a person wants to read.
const STDERR_CHARS: usize = 500;

/// Runs `program` in the network namespace of the calling thread; `input` is its standard input.
///
/// # Errors
/// When it cannot be started, or does not end: then it is killed.
pub fn run(program: &Path, arguments: &[&str], input: &str) -> Result<Output, ProcessError> {
    let error = |source| ProcessError::Run { program: program.to_owned(), source };
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C");
    // Ctrl-C at the terminal is for the agent, which then leaves in its own time: a restore must not end half-way.
    command.process_group(0);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(error)?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    // Threads, so that neither side waits for the other with a full pipe; they end with the program.
    let input = input.to_owned();
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let (done, ended) = mpsc::channel();
    let readers = [read(stdout, done.clone()), read(Box::new(stderr) as Box<dyn Read + Send>, done)];
    // The ends of both pipes are the end of the program.
    let in_time = (0..readers.len()).all(|_| ended.recv_timeout(DEADLINE).is_ok());
    if !in_time {
        child.kill().map_err(error)?;
    }
    let status = child.wait().map_err(error)?;
    if !in_time {
        return Err(ProcessError::Hung { program: program.to_owned(), secs: DEADLINE.as_secs() });
    }
    let [stdout, stderr] = readers.map(|reader| reader.join().expect("reading into memory does not panic"));
    // A program that refuses its arguments does not read its input.
    match writer.join().expect("writing does not panic") {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => return Err(error(source)),
        Ok(()) | Err(_) => {}
    }
    let stdout = String::from_utf8_lossy(&stdout.map_err(error)?).into_owned();
    let stderr = one_line(&String::from_utf8_lossy(&stderr.map_err(error)?));
    Ok(Output { status, stdout, stderr })
}

fn read(mut pipe: impl Read + Send + 'static, done: mpsc::Sender<()>) -> thread::JoinHandle<io::Result<Vec<u8>>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = pipe.read_to_end(&mut bytes).map(|_| bytes);
        // Nobody listens any more once the program was killed.
        let _ = done.send(());
        result
    })
}

/// The lines that matter, joined; not the advice that follows them.
fn one_line(text: &str) -> String {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("Try `") && !line.starts_with("# Warning: ip"));
    lines.collect::<Vec<_>>().join("; ").chars().take(STDERR_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_fits_into_an_error() {
        let text = "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n\
                    iptables-restore v1.8.9 (nf_tables): \n\
                    line 2: RULE_APPEND failed (Too many links): rule in chain x\n\
                    Try `iptables-restore -h' or 'iptables-restore --help' for more information.\n";
        let line = "iptables-restore v1.8.9 (nf_tables):; line 2: RULE_APPEND failed (Too many links): rule in chain x";
        assert_eq!(one_line(text), line);
        assert_eq!(one_line(&"x".repeat(9_000)).len(), 500);
    }

    #[test]
    fn a_program_gets_its_input_and_says_what_it_has_to_say() {
        // More than a pipe holds, both ways.
        let input = "line\n".repeat(100_000);
        let output = run(Path::new("/bin/cat"), &[], &input).unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, input);
    }

    #[test]
    fn a_program_has_a_process_group_of_its_own() {
        let stat = run(Path::new("/bin/cat"), &["/proc/self/stat"], "").unwrap().stdout;
        let fields: Vec<&str> = stat.split(' ').collect();
        // proc_pid_stat(5): (1) is the process, (5) its group. `cat` has no space in its name.
        assert_eq!(fields[0], fields[4], "{stat}");
    }

    #[test]
    fn a_program_that_does_not_read_is_no_error() {
        let output = run(Path::new("/bin/false"), &[], &"line\n".repeat(100_000)).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(matches!(run(Path::new("/nowhere"), &[], ""), Err(ProcessError::Run { .. })));
    }
}
