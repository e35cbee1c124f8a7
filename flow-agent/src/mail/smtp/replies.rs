//! PURE: a mail server's replies, line by line, in the form that lettre's parser demands.
//!
//! lettre rejects a reply that is not UTF-8, that has a line without text, or whose code has a second digit above 5, and the code
//! is lost with it. Servers send all of these: large Chinese mail hosts write their texts in GBK. Only the code matters to us, so
//! every line is made readable and keeps its code.

use std::collections::VecDeque;

/// Longest line that is passed on, in bytes, without its end. lettre's own limit is 1,000.
const MAX_LINE_BYTES: usize = 900;

/// Most lines of one reply that are passed on before its last. lettre reads a reply from its first line again for each line
/// that comes.
const MAX_CONTINUED_LINES: usize = 100;

/// Turns the bytes that the server sends into readable lines.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// The start of the line that has not ended yet; the rest of a longer one is dropped.
    line: Vec<u8>,
    /// How many lines of the current reply have been read; none of them was its last.
    continued_lines: usize,
    /// Lines that have ended and were not read yet.
    readable: VecDeque<u8>,
}

impl Replies {
    /// Begins with a reply that the server did not send.
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

    /// Readable bytes; empty when more must be pushed first.
    pub(super) fn peek(&self) -> &[u8] {
        self.readable.as_slices().0
    }

    /// Removes bytes that were read.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.readable.drain(..bytes);
    }
}

/// One line, without its end, as lettre can read it.
fn readable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    let mut line = match text.split_at_checked(3).filter(|(code, _)| is_code(code)) {
        // RFC 5321, section 4.2: the text may be missing, and the space before it with it.
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

/// RFC 5321, section 4.3.2: a code that a client does not know means what its first digit says. lettre knows no second digit
/// above 5, so the code moves into the text.
fn in_known_codes(code: &str, separator: char, text: &str) -> String {
    if code.as_bytes()[1] <= b'5' {
        format!("{code}{separator}{text}")
    } else {
        format!("{}50{separator}{code} {text}", &code[..1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(replies: &mut Replies) -> String {
        let mut text = Vec::new();
        while !replies.peek().is_empty() {
            text.extend_from_slice(replies.peek());
            replies.consume(replies.peek().len());
        }
        String::from_utf8(text).unwrap()
    }

    fn readable(bytes: &[u8]) -> String {
        let mut replies = Replies::default();
        replies.push(bytes);
        all(&mut replies)
    }

    #[test]
    fn the_code_stays_and_the_text_becomes_readable() {
        for (sent, expected) in [
            (&b"250 ok\r\n"[..], "250 ok\r\n"),
            (b"250-a\r\n250 b\r\n", "250-a\r\n250 b\r\n"),
            (b"250 ok\n", "250 ok\r\n"),
            (b"250\r\n", "250 \r\n"),
            (b"250-\r\n250 \r\n", "250-\r\n250 \r\n"),
            (b"535 \xb5\xc7\xc2\xbc: see\r\n", "535 \u{fffd}\u{fffd}¼: see\r\n"),
            ("250 好\r\n".as_bytes(), "250 好\r\n"),
            (b"571 refused\r\n", "550 571 refused\r\n"),
            (b"471-a\r\n471 b\r\n", "450-471 a\r\n450 471 b\r\n"),
            (b"571\r\n", "550 571 \r\n"),
            (b"250\ttabbed\r\n", "250 tabbed\r\n"),
            (b"250 \0nul\0\r\n", "250 \0nul\0\r\n"),
            // Not replies: lettre says so.
            (b"2500 ok\r\n", "2500 ok\r\n"),
            (b"650 ok\r\n", "650 ok\r\n"),
            (b"25\r\n", "25\r\n"),
            (b"25\xb5\xc7 ok\r\n", "25\u{fffd}\u{fffd} ok\r\n"),
            (b"\r\n", "\r\n"),
            (b"HTTP/1.1 400 Bad Request\r\n", "HTTP/1.1 400 Bad Request\r\n"),
            // A line that has not ended may still become another.
            (b"250 ok", ""),
            (b"250-a\r\n250", "250-a\r\n"),
        ] {
            assert_eq!(readable(sent), expected, "{}", sent.escape_ascii());
        }
    }

    #[test]
    fn pieces_make_the_same_lines_as_the_whole() {
        let text = "250-好\r\n250 \u{1f4e7}\r\n535 x\n".as_bytes();
        for size in 1..text.len() {
            let mut replies = Replies::default();
            text.chunks(size).for_each(|piece| replies.push(piece));
            assert_eq!(all(&mut replies), readable(text), "in pieces of {size}");
        }
    }

    #[test]
    fn a_reply_without_end_takes_no_memory() {
        let mut replies = Replies::default();
        for _ in 0..100_000 {
            replies.push(b"250-more\r\n");
        }
        replies.push(b"250 last\r\n250-a\r\n250 b\r\n");
        let text = all(&mut replies);
        assert_eq!(text.lines().count(), MAX_CONTINUED_LINES + 3);
        assert!(text.ends_with("250 last\r\n250-a\r\n250 b\r\n"), "{text}");
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut replies = Replies::default();
        replies.push(b"250 ");
        for _ in 0..10_000 {
            replies.push(&[0xb5; 1_000]);
        }
        assert!(replies.line.capacity() <= 2 * MAX_LINE_BYTES, "{}", replies.line.capacity());
        replies.push(b"\r\n250 next\r\n");
        let text = all(&mut replies);
        let (first, second) = text.split_once("\r\n").unwrap();
        assert!(first.starts_with("250 \u{fffd}") && first.len() <= MAX_LINE_BYTES, "{first}");
        assert_eq!(second, "250 next\r\n");
    }
}
