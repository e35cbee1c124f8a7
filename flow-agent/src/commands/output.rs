//! EDGE: results to stdout, failures to stderr.

use std::io::{self, ErrorKind, Write, stderr, stdout};

use anyhow::Context as _;

use crate::exit::Failure;

/// Writes results to stdout; false when its reader is gone. Somebody who read enough (`… | head`) is no error: what is
/// left is not wanted.
///
/// # Errors
/// When stdout takes nothing for any other reason: a result that is lost is not done.
pub fn print(text: &str) -> Result<bool, Failure> {
    match write(&mut stdout().lock(), text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        other => Ok(other.map(|()| true).context("failed to write to stdout")?),
    }
}

/// Writes what a person should know to stderr. Where there is none, nobody is left to be told of it.
pub fn complain(text: &str) {
    if let Err(error) = write(&mut stderr().lock(), &format!("{text}\n")) {
        tracing::debug!(%error, "cannot write to stderr");
    }
}

fn write(to: &mut dyn Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}
