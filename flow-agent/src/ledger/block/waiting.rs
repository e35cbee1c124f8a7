//! The lines that wait for their seal, as they came, and where in the file they lie.

use super::fault::{Damage, Fault};
use super::kind::BlockKind;

/// Lines without a seal yet.
#[derive(Debug)]
pub(super) struct Waiting {
    bytes: Vec<u8>,
    /// Where each line begins in `bytes`.
    starts: Vec<usize>,
    /// Lines that are wrong: which of `starts`, and what.
    faults: Vec<(usize, Fault)>,
    /// Where the first of them lies in the file, and where what comes next does.
    offset: u64,
    end: u64,
    /// The number of the first of them, or of what comes next.
    first_line: u64,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { bytes: Vec::new(), starts: Vec::new(), faults: Vec::new(), offset: 0, end: 0, first_line: 1 }
    }
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn first_line(&self) -> u64 {
        self.first_line
    }

    pub(super) fn next_line(&self) -> u64 {
        self.first_line + self.starts.len() as u64
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The lines with their newlines, and their numbers.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let ends = self.starts.iter().skip(1).copied().chain([self.bytes.len()]);
        let lines = self.starts.iter().zip(ends).map(|(start, end)| &self.bytes[*start..end]);
        (self.first_line..).zip(lines)
    }

    /// Takes a line, with what is wrong with it if anything is.
    pub(super) fn take(&mut self, line: &[u8], fault: Option<Fault>) {
        self.faults.extend(fault.map(|fault| (self.starts.len(), fault)));
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(line);
        self.end += line.len() as u64;
    }

    /// Takes a line that is not worth keeping; to be rejected at once.
    pub(super) fn drop_line(&mut self, length: usize, fault: Fault) {
        self.take(&[], Some(fault));
        self.end += length as u64;
    }

    /// Steps over a byte where a newline should be. What follows is on the same line.
    pub(super) fn skip_byte(&mut self) {
        self.end += 1;
        self.offset = self.end;
        self.first_line -= 1;
    }

    /// The first line that is wrong.
    pub(super) fn take_fault(&mut self) -> Option<(u64, Fault)> {
        if self.faults.is_empty() {
            return None;
        }
        let (index, fault) = self.faults.remove(0);
        Some((self.first_line + index as u64, fault))
    }

    /// Gives up everything, because of `culprit`, or of the first line that is wrong, or for want of a seal.
    pub(super) fn reject<K: BlockKind>(&mut self, culprit: Option<(u64, Fault)>) -> Option<Damage> {
        if self.starts.is_empty() {
            return None;
        }
        let (line, fault) = culprit.or_else(|| self.take_fault()).unwrap_or((self.first_line, Fault::Unsealed));
        let span = self.lines().find_map(|(_, line)| K::span(&serde_json::from_slice(line).ok()?));
        let damage = Damage { line, bytes: self.offset..self.end, lines: self.starts.len() as u64, span, fault };
        self.clear();
        Some(damage)
    }

    /// Gives up the first `count` lines, which no seal counts.
    pub(super) fn reject_first<K: BlockKind>(&mut self, count: usize) -> Option<Damage> {
        let cut = self.starts.get(count).copied().unwrap_or(self.bytes.len());
        let mut first = Self { offset: self.offset, first_line: self.first_line, ..Self::default() };
        first.bytes = self.bytes.drain(..cut).collect();
        first.starts = self.starts.drain(..count).collect();
        first.end = first.offset + cut as u64;
        let rest = self.faults.iter().position(|(index, _)| *index >= count).unwrap_or(self.faults.len());
        first.faults = self.faults.drain(..rest).collect();
        self.starts.iter_mut().for_each(|start| *start -= cut);
        self.faults.iter_mut().for_each(|(index, _)| *index -= count);
        self.offset = first.end;
        self.first_line += count as u64;
        first.reject::<K>(None)
    }

    /// Forgets everything; what comes next is the first.
    pub(super) fn clear(&mut self) {
        self.first_line = self.next_line();
        self.offset = self.end;
        self.bytes.clear();
        self.starts.clear();
        self.faults.clear();
    }
}
