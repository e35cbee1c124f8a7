//! PURE: what `check` found, how it reads, and which exit code it means.

use std::fmt::Write as _;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::errors::chain;
use crate::exit::Code;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub section: Section,
    pub status: Status,
    pub what: String,
    /// What the reader can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// What a finding is about, in the order in which it is looked at.
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
    /// The exit code of a failure here.
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

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// Works, and a person should look at it.
    Warn,
    /// Does not work.
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

    /// The number of its colour on a terminal: green, yellow, red.
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

    /// A failure as `error` tells it, with its causes.
    pub fn error(section: Section, error: &dyn std::error::Error) -> Self {
        Self::fail(section, chain(error))
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

/// The code of the first section in which something fails.
pub fn code(findings: &[Finding]) -> Code {
    let failed = findings.iter().filter(|finding| finding.status == Status::Fail);
    failed.map(|finding| finding.section).min().map_or(Code::Done, Section::code)
}

/// One JSON object a line.
pub fn json(findings: &[Finding]) -> String {
    let line = |finding| serde_json::to_string(finding).expect("a finding has only text in it") + "\n";
    findings.iter().map(line).collect()
}

/// The columns before the text of a finding.
const INDENT: usize = 18;

/// A line a finding, the section named once, what to do below it; wrapped at `width` columns, if there are any.
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

/// `label` and `text`, broken between words where a line would pass `width` columns, the rest below its beginning.
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
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![
            Finding::ok(Section::Config, "/etc/flow-agent/config.toml"),
            Finding::ok(Section::Kernel, "6.18.15"),
            Finding::warn(Section::Kernel, "no bpffs").help("mount it".to_owned()),
            Finding::fail(Section::State, "`/x` is locked"),
            Finding::fail(Section::Interfaces, "interface `eth9` does not exist"),
        ]
    }

    #[test]
    fn the_first_section_that_fails_gives_the_code() {
        assert_eq!(code(&findings()), Code::Kernel);
        assert_eq!(code(&findings()[..4]), Code::Store);
        assert_eq!(code(&findings()[..3]), Code::Done);
    }

    #[test]
    fn a_table_names_each_section_once() {
        let expected = "\
config      ok    /etc/flow-agent/config.toml
kernel      ok    6.18.15
            warn  no bpffs
                  help: mount it
state       fail  `/x` is locked
interfaces  fail  interface `eth9` does not exist
";
        assert_eq!(table(&findings(), false, None), expected);
        let coloured = table(&findings()[2..4], true, Some(80));
        assert_eq!(
            coloured,
            "kernel      \x1b[33mwarn\x1b[0m  no bpffs\n                  help: mount it\nstate       \x1b[31mfail\x1b[0m  `/x` is locked\n"
        );
    }

    /// What `check` says of a node whose agent runs, with words that are too long for a narrow terminal.
    fn of_a_node() -> Vec<Finding> {
        vec![
            Finding::ok(Section::Config, "/etc/flow-agent/config.toml"),
            Finding::ok(Section::Kernel, "6.18.15-cloud-amd64: eBPF, attached by TCX"),
            Finding::warn(Section::Interfaces, "`wg0` moves bytes of watched ports (8388, 8389) and is not counted")
                .help("name it in `count.interfaces`, beside `auto`, unless what it moves is seen on `eth0`, too".to_owned()),
            Finding::ok(Section::Ports, "1 port of `北京市朝阳区某某国际数据通信与内容分发服务股份有限公司`, and 3 of nobody"),
            Finding::warn(
                Section::State,
                "yesterday the ports and everything else differ from the devices' own counters by +1.2 % (in), +0.1 % (out)",
            )
            .help("`flow-agent show total --from yesterday --to yesterday` shows both".to_owned()),
            Finding::ok(Section::Agent, "it answers at `/run/flow-agent/0123456789abcdef0123456789abcdef.sock`"),
            Finding::fail(
                Section::Agent,
                "no answer at http://127.0.0.1:9177: failed to connect: connection refused (os error 111)",
            )
            .help("read `journalctl -u flow-agent`: it says why it does not listen".to_owned()),
        ]
    }

    #[test]
    fn a_terminal_shows_whole_words_below_each_other() {
        for width in [80, 140] {
            let text = table(&of_a_node(), false, Some(width));
            let widest = text.lines().map(UnicodeWidthStr::width).max().unwrap();
            assert!(widest <= width, "{widest} columns:\n{text}");
            insta::assert_snapshot!(format!("check_{width}"), text);
        }
        // Another program gets a line a finding.
        assert_eq!(table(&of_a_node(), false, None).lines().count(), 7 + 3);
    }

    #[test]
    fn json_is_one_object_a_line() {
        let expected = r#"{"section":"kernel","status":"warn","what":"no bpffs","help":"mount it"}
{"section":"state","status":"fail","what":"`/x` is locked"}
"#;
        assert_eq!(json(&findings()[2..4]), expected);
    }
}
