//! EDGE: results to stdout, failures to stderr.

use std::io::{self, ErrorKind, IsTerminal as _, Write, stderr, stdout};

use anyhow::Context as _;
use ratatui::crossterm::terminal;

use crate::exit::Failure;

/// Writes results to stdout; false if the reader has closed it. A reader that has read enough (`… | head`) is not an
/// error, because it does not want the rest.
///
/// # Errors
/// When stdout cannot be written for any other reason, because a result that is lost is not a success.
pub fn print(text: &str) -> Result<bool, Failure> {
    match write(&mut stdout().lock(), text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        other => Ok(other.map(|()| true).context("failed to write to stdout")?),
    }
}

/// Writes a message for a person to stderr. If stderr is closed, nobody is there to read it.
pub fn complain(text: &str) {
    if let Err(error) = write(&mut stderr().lock(), &format!("{text}\n")) {
        tracing::debug!(%error, "cannot write to stderr");
    }
}

fn write(to: &mut dyn Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// Whether stdout is a terminal that shows colours, and `NO_COLOR` does not forbid them.
pub fn has_colours() -> bool {
    let says = |name| std::env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    stdout().is_terminal() && !says("NO_COLOR") && !is_dumb
}

/// The width of the terminal in columns. As with other programs, COLUMNS overrides it. `None` if neither is known.
pub fn width() -> Option<usize> {
    let wanted =
        std::env::var_os("COLUMNS").and_then(|columns| columns.to_str()?.parse().ok()).filter(|columns| *columns > 0);
    let actual = || terminal::size().ok().map(|(columns, _)| usize::from(columns)).filter(|columns| *columns > 0);
    wanted.or_else(|| if stdout().is_terminal() { actual() } else { None })
}
