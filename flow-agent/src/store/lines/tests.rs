use std::collections::VecDeque;
use std::io::BufReader;

use super::*;

#[test]
fn a_line_that_is_too_long_is_measured_and_not_kept() {
    let file = b"four\n\nfives\na long one\nlast";
    for capacity in [1, 3, 64] {
        let mut lines = Lines::new(BufReader::with_capacity(capacity, &file[..]), 4);
        let mut read = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let text = line.text.map(|text| String::from_utf8_lossy(text).into_owned());
            read.push((line.number, text, line.length, line.is_finished));
        }
        let kept = |text: &str| Some(text.to_owned());
        assert_eq!(
            read,
            [
                (1, kept("four"), 5, true),
                (2, kept(""), 1, true),
                (3, None, 6, true),
                (4, None, 11, true),
                (5, kept("last"), 4, false)
            ]
        );
    }
}

#[test]
fn a_line_without_an_end_takes_no_memory() {
    let mut lines = Lines::new(BufReader::new(io::repeat(0).take(64 << 20)), 1 << 10);
    let line = lines.next_line().unwrap().unwrap();
    assert_eq!((line.text, line.length, line.is_finished), (None, 64 << 20, false));
    assert!(lines.line.capacity() <= 2 << 10, "{}", lines.line.capacity());
    assert_eq!(lines.next_line().unwrap(), None);
}

/// Gives these pieces one at a time.
struct Pieces(VecDeque<Result<&'static [u8], io::ErrorKind>>);

impl Read for Pieces {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        unreachable!("lines are read from the buffer")
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.0.front() {
            None => Ok(&[]),
            Some(Ok(piece)) => Ok(piece),
            Some(Err(kind)) => {
                let error = Err((*kind).into());
                self.0.pop_front();
                error
            }
        }
    }

    fn consume(&mut self, amount: usize) {
        if let Some(Ok(piece)) = self.0.front_mut() {
            *piece = &piece[amount..];
            if piece.is_empty() {
                self.0.pop_front();
            }
        }
    }
}

#[test]
fn a_long_line_is_skipped_through_interruptions_and_not_through_errors() {
    let pieces = |error| Pieces([Ok(&b"much "[..]), Err(error), Ok(b"too long\nend\n")].into());
    let mut lines = Lines::new(pieces(io::ErrorKind::Interrupted), 4);
    let line = lines.next_line().unwrap().unwrap();
    assert_eq!((line.text, line.length, line.is_finished), (None, 14, true));
    assert_eq!(lines.next_line().unwrap().unwrap().text, Some(&b"end"[..]));
    let error = Lines::new(pieces(io::ErrorKind::TimedOut), 4).next_line().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}
