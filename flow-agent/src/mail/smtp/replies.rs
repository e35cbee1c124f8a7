//! PURE: rewrites a mail server's replies, line by line, into the form that lettre's parser requires.
//!
//! lettre rejects a reply that is not UTF-8, that has a line without text, or whose code has a second digit above 5,
//! and thereby loses the code. Servers send all of these: large Chinese mail providers write their texts in GBK. Only
//! the code matters here, so every line is made readable and keeps its code.

use std::collections::VecDeque;

/// The longest line that is passed on, in bytes without the line end. lettre's own limit is 1,000.
const MAX_LINE_BYTES: usize = 900;

/// How many lines of one reply are passed on before its last. For each line that arrives, lettre parses the reply again
/// from its first line.
const MAX_CONTINUED_LINES: usize = 100;

/// Turns the bytes that the server sends into readable lines.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// The beginning of the unfinished line; the rest of a line that is too long is dropped.
    line: Vec<u8>,
    /// How many lines of the current reply were read so far, without its last.
    continued_lines: usize,
    /// Complete lines that were not read yet.
    readable: VecDeque<u8>,
}

impl Replies {
    /// Starts with a reply that the server did not send.
    pub(super) fn beginning_with(reply: &str) -> Self {
        Self { readable: reply.bytes().collect(), ..Self::default() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (part, has_ended) = part.strip_suffix(b"\n").map_or((part, false), |part| (part, true));
            let room = MAX_LINE_BYTES - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if has_ended {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = readable(&self.line);
        self.line.clear();
        let is_continued = line.split_at_checked(3).is_some_and(|(code, rest)| is_code(code) && rest.starts_with('-'));
        self.continued_lines = if is_continued { self.continued_lines + 1 } else { 0 };
        if self.continued_lines <= MAX_CONTINUED_LINES {
            self.readable.extend(line.bytes());
        }
    }

    /// The bytes that can be read; empty if more must be pushed first.
    pub(super) fn peek(&self) -> &[u8] {
        self.readable.as_slices().0
    }

    /// Removes bytes that have been read.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.readable.drain(..bytes);
    }
}

/// Makes one line, without its line end, readable for lettre.
fn readable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    let mut line = match text.split_at_checked(3).filter(|(code, _)| is_code(code)) {
        // RFC 5321, section 4.2: the text may be missing, together with the space before it.
        Some((code, "")) => in_known_codes(code, ' ', ""),
        Some((code, rest)) => match rest.split_at(rest.chars().next().map_or(0, char::len_utf8)) {
            ("-", text) => in_known_codes(code, '-', text),
            (" " | "\t" | ":", text) => in_known_codes(code, ' ', text),
            _ => text.to_owned(),
        },
        None => text.to_owned(),
    };
    line.truncate(line.floor_char_boundary(MAX_LINE_BYTES));
    line + "\r\n"
}

fn is_code(text: &str) -> bool {
    text.starts_with(['2', '3', '4', '5']) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// RFC 5321, section 4.3.2: an unknown code means what its first digit says. lettre accepts no second digit above 5, so
/// such a code is moved into the text.
fn in_known_codes(code: &str, separator: char, text: &str) -> String {
    if code.as_bytes()[1] <= b'5' {
        format!("{code}{separator}{text}")
    } else {
        format!("{}50{separator}{code} {text}", &code[..1])
    }
}

#[cfg(test)]
mod tests;
