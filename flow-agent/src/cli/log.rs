//! EDGE environment, clock: the destination, level and format of log lines.
#![expect(clippy::disallowed_methods, reason = "edge: environment and clock")]

use std::env;
use std::io::{IsTerminal as _, stderr};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Sends log lines to stderr: our own from the level `usual` up, adjusted by `verbose` and `quiet`, and those of
/// libraries only from warnings up. RUST_LOG overrides both. Colours are used only on a terminal. Times are local, and
/// absent if the journal adds its own.
pub fn start(usual: Level, verbose: u8, quiet: u8) {
    let ours = level(usual, verbose, quiet);
    let filter = match env::var("RUST_LOG") {
        Ok(wish) if !wish.is_empty() => EnvFilter::builder().parse_lossy(wish),
        Ok(_) | Err(_) => EnvFilter::new(format!("{},flow_agent={ours}", ours.min(Level::WARN))),
    };
    let coloured = stderr().is_terminal() && env::var("NO_COLOR").map_or(true, |wish| wish.is_empty());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(coloured);
    let started = if env::var("JOURNAL_STREAM").is_ok() {
        lines.with_target(false).without_time().try_init()
    } else {
        lines.with_target(false).with_timer(LocalTime).try_init()
    };
    started.expect("nobody else sets a subscriber");
}

/// `2026-10-05 14:00:00`, like all other output of `run`.
struct LocalTime;

impl FormatTime for LocalTime {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        write!(line, "{}", chrono::Local::now().format("%Y-%m-%d %H:%M:%S"))
    }
}

/// `tracing` orders levels so that a more verbose one is greater.
fn level(usual: Level, verbose: u8, quiet: u8) -> Level {
    const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    let at = LEVELS.iter().position(|level| *level == usual).unwrap_or(1);
    LEVELS[(at + usize::from(verbose)).saturating_sub(usize::from(quiet)).min(LEVELS.len() - 1)]
}

#[cfg(test)]
mod tests;
