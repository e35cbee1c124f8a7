//! Exit codes (a contract), and how an error is shown to people.

use std::fmt::Write as _;
use std::process::ExitCode;

/// The exit codes. Usage errors (2) mostly come from the argument parser itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    Done = 0,
    Unexpected = 1,
    Usage = 2,
    /// The configuration, or a port file that is missing at the first start.
    Config = 3,
    /// The kernel, permissions, interfaces, or programs that others have attached.
    Kernel = 4,
    /// Files or locks.
    Store = 5,
    /// The work is done, but a node or day is missing, a bucket was rejected, or coverage is too low.
    Incomplete = 6,
    Mail = 7,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// The failure of a command: the chain of causes, the exit code, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub error: anyhow::Error,
    /// What the reader can do about it.
    pub help: Option<String>,
}

impl Failure {
    pub fn new(code: Code, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into(), help: None }
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// `error: …`, one `caused by: …` per cause, and `help: …`.
    pub fn render(&self) -> String {
        let mut text = format!("error: {}", self.error);
        for cause in self.error.chain().skip(1) {
            write!(text, "\n  caused by: {cause}").expect("writing to a String cannot fail");
        }
        if let Some(help) = &self.help {
            write!(text, "\n  help: {help}").expect("writing to a String cannot fail");
        }
        text
    }
}

/// Errors without a code of their own are unexpected.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Code::Unexpected, error)
    }
}

#[cfg(test)]
mod tests;
