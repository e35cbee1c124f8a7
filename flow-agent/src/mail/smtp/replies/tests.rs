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
        // These are not replies, and lettre reports that.
        (b"2500 ok\r\n", "2500 ok\r\n"),
        (b"650 ok\r\n", "650 ok\r\n"),
        (b"25\r\n", "25\r\n"),
        (b"25\xb5\xc7 ok\r\n", "25\u{fffd}\u{fffd} ok\r\n"),
        (b"\r\n", "\r\n"),
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP/1.1 400 Bad Request\r\n"),
        // A line without an end may still grow.
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
