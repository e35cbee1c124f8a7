//! Reads a file line by line in bounded memory, however long a line is.

use std::io::{self, BufRead, Read};

/// Reads the lines of a stream. For a line that is too long only its length is kept.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    limit: usize,
    number: u64,
    line: Vec<u8>,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLine<'a> {
    /// The line number, from 1.
    pub number: u64,
    /// The text without its newline; `None` if it is longer than the limit.
    pub text: Option<&'a [u8]>,
    /// The length in the file in bytes, including the newline.
    pub length: u64,
    /// Whether it ends in a newline. Only the last line of a file may lack one.
    pub is_finished: bool,
}

impl<R: BufRead> Lines<R> {
    /// Starts at the current position of `reader`. The text of lines up to `limit` bytes is kept.
    pub fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, number: 0, line: Vec::new() }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<FileLine<'_>>> {
        self.line.clear();
        // One byte more than the longest line, for the newline.
        let mut part = Read::take(&mut self.reader, self.limit as u64 + 1);
        let mut length = part.read_until(b'\n', &mut self.line)? as u64;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        let mut is_finished = self.line.pop_if(|last| *last == b'\n').is_some();
        let is_too_long = self.line.len() > self.limit;
        if is_too_long {
            // The line is not one of ours. Its memory is released and the rest is skipped.
            self.line = Vec::new();
            let (skipped, finished) = skip_line(&mut self.reader)?;
            length += skipped;
            is_finished = finished;
        }
        let text = (!is_too_long).then_some(self.line.as_slice());
        Ok(Some(FileLine { number: self.number, text, length, is_finished }))
    }
}

/// Skips to the next line. Returns the number of bytes skipped and whether there was a newline.
fn skip_line(reader: &mut impl BufRead) -> io::Result<(u64, bool)> {
    let mut skipped = 0;
    loop {
        let chunk = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if chunk.is_empty() {
            return Ok((skipped, false));
        }
        let newline = memchr::memchr(b'\n', chunk);
        let taken = newline.map_or(chunk.len(), |newline| newline + 1);
        reader.consume(taken);
        skipped += taken as u64;
        if newline.is_some() {
            return Ok((skipped, true));
        }
    }
}

#[cfg(test)]
mod tests;
