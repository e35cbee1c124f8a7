//! PURE: the findings of `check`, their text, and the exit code that follows from them.

use std::fmt::Write as _;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::errors::chain;
use crate::exit::Code;

/// The result of examining one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub section: Section,
    pub status: Status,
    pub what: String,
    /// What the reader can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// What a finding is about, in the order in which things are examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    Config,
    Kernel,
    Interfaces,
    Ports,
    State,
    Agent,
    Nodes,
    Fleet,
    Mail,
    Notify,
}

impl Section {
    /// The exit code of a failure in this section.
    pub fn code(self) -> Code {
        match self {
            Self::Config | Self::Ports => Code::Config,
            Self::Kernel | Self::Interfaces | Self::Agent => Code::Kernel,
            Self::State => Code::Store,
            Self::Nodes | Self::Fleet => Code::Incomplete,
            Self::Mail | Self::Notify => Code::Mail,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Kernel => "kernel",
            Self::Interfaces => "interfaces",
            Self::Ports => "ports",
            Self::State => "state",
            Self::Agent => "agent",
            Self::Nodes => "nodes",
            Self::Fleet => "fleet",
            Self::Mail => "mail",
            Self::Notify => "notify",
        }
    }
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// It works, but a person should look at it.
    Warn,
    /// It does not work.
    Fail,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    /// The ANSI code of its colour on a terminal: green, yellow or red.
    fn colour(self) -> u8 {
        match self {
            Self::Ok => 32,
            Self::Warn => 33,
            Self::Fail => 31,
        }
    }
}

impl Finding {
    pub fn ok(section: Section, what: impl Into<String>) -> Self {
        Self { section, status: Status::Ok, what: what.into(), help: None }
    }

    pub fn warn(section: Section, what: impl Into<String>) -> Self {
        Self { status: Status::Warn, ..Self::ok(section, what) }
    }

    pub fn fail(section: Section, what: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::ok(section, what) }
    }

    /// A failure with the text of `error` and its causes.
    pub fn error(section: Section, error: &dyn std::error::Error) -> Self {
        Self::fail(section, chain(error))
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

/// The exit code of the first section in which something fails.
pub fn code(findings: &[Finding]) -> Code {
    let failed = findings.iter().filter(|finding| finding.status == Status::Fail);
    failed.map(|finding| finding.section).min().map_or(Code::Done, Section::code)
}

/// One JSON object per line.
pub fn json(findings: &[Finding]) -> String {
    let line = |finding| serde_json::to_string(finding).expect("a finding has only text in it") + "\n";
    findings.iter().map(line).collect()
}

/// The columns before the text of a finding.
const INDENT: usize = 18;

/// One line per finding with the help below it, each section named once, wrapped at `width` columns if that is given.
pub fn table(findings: &[Finding], has_colours: bool, width: Option<usize>) -> String {
    let mut text = String::new();
    let mut section = None;
    for finding in findings {
        let name = if section == Some(finding.section) { "" } else { finding.section.name() };
        section = Some(finding.section);
        let (status, what) = (format!("{:<4}", finding.status.name()), wrapped(&finding.what, "", width));
        let status = match has_colours {
            true => format!("\x1b[{}m{status}\x1b[0m", finding.status.colour()),
            false => status,
        };
        writeln!(text, "{name:<10}  {status}  {what}").expect("writing to a String cannot fail");
        if let Some(help) = &finding.help {
            let help = wrapped(help, "help: ", width);
            writeln!(text, "{:INDENT$}{help}", "").expect("writing to a String cannot fail");
        }
    }
    text
}

/// `label` and `text`, wrapped between words at `width` columns, with all lines aligned after the label.
fn wrapped(text: &str, label: &str, width: Option<usize>) -> String {
    let Some(room) = width.map(|width| width.saturating_sub(INDENT + label.len()).max(20)) else {
        return format!("{label}{text}");
    };
    let mut lines = label.to_owned();
    let mut used = 0;
    for word in text.split(' ') {
        let columns = word.width();
        if used > 0 && used + 1 + columns > room {
            lines.push('\n');
            lines.extend(std::iter::repeat_n(' ', INDENT + label.len()));
            used = 0;
        }
        if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += columns;
    }
    lines
}

#[cfg(test)]
mod tests;
