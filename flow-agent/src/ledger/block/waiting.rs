//! The raw lines that wait for their seal, and their place in the file.

use super::fault::{BlockDamage, Fault};
use super::kind::BlockKind;

/// Lines whose seal has not been read yet.
#[derive(Debug)]
pub(super) struct Waiting {
    bytes: Vec<u8>,
    /// The start of each line in `bytes`.
    starts: Vec<usize>,
    /// Faulty lines, as an index into `starts` and the fault.
    faults: Vec<(usize, Fault)>,
    /// The file offsets of the first waiting line and of the end of the last.
    offset: u64,
    end: u64,
    /// The number of the first waiting line, or of the next line if none waits.
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

    /// Adds a line, with its fault if it has one.
    pub(super) fn take(&mut self, line: &[u8], fault: Option<Fault>) {
        self.faults.extend(fault.map(|fault| (self.starts.len(), fault)));
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(line);
        self.end += line.len() as u64;
    }

    /// Adds a line without keeping its bytes; the caller must reject it at once.
    pub(super) fn drop_line(&mut self, length: usize, fault: Fault) {
        self.take(&[], Some(fault));
        self.end += length as u64;
    }

    /// Skips a byte in the place of a newline. The bytes after it are on the same line.
    pub(super) fn skip_byte(&mut self) {
        self.end += 1;
        self.offset = self.end;
        self.first_line -= 1;
    }

    /// Takes the first faulty line.
    pub(super) fn take_fault(&mut self) -> Option<(u64, Fault)> {
        if self.faults.is_empty() {
            return None;
        }
        let (index, fault) = self.faults.remove(0);
        Some((self.first_line + index as u64, fault))
    }

    /// Rejects all lines because of `culprit`, of the first faulty line or, without either, of the missing seal.
    pub(super) fn reject<K: BlockKind>(&mut self, culprit: Option<(u64, Fault)>) -> Option<BlockDamage> {
        if self.starts.is_empty() {
            return None;
        }
        let (line, fault) = culprit.or_else(|| self.take_fault()).unwrap_or((self.first_line, Fault::Unsealed));
        let span = self.lines().find_map(|(_, line)| K::span(&serde_json::from_slice(line).ok()?));
        let damage = BlockDamage { line, bytes: self.offset..self.end, lines: self.starts.len() as u64, span, fault };
        self.clear();
        Some(damage)
    }

    /// Rejects the first `count` lines, which belong to no seal.
    pub(super) fn reject_first<K: BlockKind>(&mut self, count: usize) -> Option<BlockDamage> {
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

    /// Removes all lines; the next line becomes the first.
    pub(super) fn clear(&mut self) {
        self.first_line = self.next_line();
        self.offset = self.end;
        self.bytes.clear();
        self.starts.clear();
        self.faults.clear();
    }
}
