//! `flow-agent.toml(5)`: the manual page of the configuration, from the file that documents every key.

use super::page::{entry, escaped};

const DEFAULT: &str = include_str!("../../default-config.toml");

const HEAD: &str = r#".TH flow\-agent.toml 5 "" "flow\-agent" "File formats"
.SH NAME
flow\-agent.toml \- the configuration of flow\-agent
.SH SYNOPSIS
\fI/etc/flow\-agent/config.toml\fR
.SH DESCRIPTION
The configuration is a TOML file. Every command reads it; \fB\-\-config\fR names another one. Below, each key is shown with its
default; a key without a default is shown with an example and marked as such.
.PP
"#;

const TAIL: &str = r#".SH EXAMPLES
.PP
Write the configuration that fits the panels and servers found on this machine:
.PP
.RS 4
.nf
flow\-agent init \-\-write
.fi
.RE
.PP
Check a changed file before the agent reads it:
.PP
.RS 4
.nf
flow\-agent check \-\-config\-only
.fi
.RE
.SH FILES
.TP
\fI/etc/flow\-agent/config.toml\fR
The configuration. Without it, every port that a program listens on is counted.
.TP
\fI/etc/flow\-agent/known_hosts\fR
The host keys of the nodes, on the main node.
.SH EXIT STATUS
Every command exits with 3 if the configuration is wrong, and names the line.
.SH SEE ALSO
\fBflow\-agent\fR(8), \fBflow\-agent\-check\fR(8), \fBflow\-agent\-init\fR(8)
"#;

/// The page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut comment: Vec<&str> = Vec::new();
    // The first line names the file.
    for line in DEFAULT.lines().skip(1) {
        match Line::of(line) {
            Line::Comment(text) => comment.push(text),
            Line::Blank => {
                page += &paragraph(&comment);
                comment.clear();
            }
            Line::Section(name) => {
                page += &format!(".SH {}\n", escaped(name));
                page += &paragraph(&comment);
                comment.clear();
            }
            Line::Key { text, has_default, remark } => {
                let term =
                    format!("\\fB{}\\fR{}", escaped(text), if has_default { "" } else { " (example; no default)" });
                page += &entry(&term, remark);
                page += &body(&comment);
                comment.clear();
            }
        }
    }
    page + TAIL
}

/// A line of the file.
enum Line<'t> {
    Blank,
    Comment(&'t str),
    Section(&'t str),
    Key { text: &'t str, has_default: bool, remark: &'t str },
}

impl<'t> Line<'t> {
    fn of(line: &'t str) -> Self {
        let (text, is_commented) = match line.strip_prefix('#') {
            None => (line, false),
            Some(rest) if rest.is_empty() || rest.starts_with(' ') => return Self::Comment(rest.trim_end()),
            Some(rest) => (rest, true),
        };
        if text.trim().is_empty() {
            return Self::Blank;
        }
        if text.starts_with('[') {
            return Self::Section(text.trim());
        }
        // No value contains this.
        let (text, remark) = text.split_once(" # ").unwrap_or((text, ""));
        Self::Key { text: text.trim(), has_default: !is_commented, remark: remark.trim() }
    }
}

/// Comments as a paragraph.
fn paragraph(comment: &[&str]) -> String {
    if comment.is_empty() { String::new() } else { format!(".PP\n{}", body(comment)) }
}

/// Comments: running text, in which indented lines (lists) keep their shape.
fn body(comment: &[&str]) -> String {
    let mut text = String::new();
    for run in comment.chunk_by(|a, b| is_list(a) == is_list(b)) {
        let lines: Vec<String> = run.iter().map(|line| escaped(line.trim_start())).collect();
        text += &match run {
            [first, ..] if is_list(first) => format!(".PP\n.RS 4\n.nf\n{}\n.fi\n.RE\n", lines.join("\n")),
            _ => lines.join("\n") + "\n",
        };
    }
    text
}

fn is_list(line: &str) -> bool {
    line.starts_with("   ")
}
