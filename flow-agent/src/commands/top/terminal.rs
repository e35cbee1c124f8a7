//! EDGE terminal: takes over the terminal, and restores it whatever happens.

use std::io::{self, Stdout, stdout};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// How long the loop of the screen may take to end by itself after a signal.
const GRACE: Duration = Duration::from_secs(1);

/// Holds the terminal until it is dropped.
pub struct FullScreen {
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
    ends: Arc<AtomicBool>,
}

impl FullScreen {
    /// Takes over the terminal.
    ///
    /// # Errors
    /// When it cannot be set up; it is then restored.
    pub fn take() -> io::Result<Self> {
        let ends = Arc::new(AtomicBool::new(false));
        end_at_a_signal(Arc::clone(&ends))?;
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            // Leave the alternate screen first, or the message would be lost with it.
            give_back();
            usual(what);
        }));
        enable_raw_mode()?;
        let taken = execute!(stdout(), EnterAlternateScreen, Hide);
        let terminal = taken.and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        match terminal {
            Ok(terminal) => Ok(Self { terminal, ends }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Whether a signal has asked the program to end.
    pub fn should_end(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Sets `ends` at the first signal that asks the program to end, and ends the program itself if it is still running
/// after [`GRACE`]: once a terminal is gone, as after a lost connection, the library never returns from reading keys.
fn end_at_a_signal(ends: Arc<AtomicBool>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT])?;
    let wait = move || {
        if signals.forever().next().is_some() {
            ends.store(true, Ordering::Relaxed);
            thread::sleep(GRACE);
            give_back();
            low_level::exit(0);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

/// Restores the terminal. Errors are ignored, because a terminal that is gone needs no restoring.
fn give_back() {
    drop(execute!(stdout(), LeaveAlternateScreen, Show));
    drop(disable_raw_mode());
}
