//! Reads the blocks of one file as a stream of whole blocks and damage.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::compressed::{self, FileContent};
use super::error::StoreError;
use crate::ledger::block::{self, BlockEvent, BlockKind, Decoder, FoundBlock, Tail};

const CHUNK_BYTES: usize = 64 << 10;

/// The next part of a file.
#[derive(Debug)]
pub enum Item<K: BlockKind> {
    Block(FoundBlock<K>),
    Damage(block::BlockDamage),
    /// Lines without a seal, always last. A writer may be about to complete them.
    Tail(Tail),
}

/// The blocks of one file in order. Keeps one block in memory at a time.
#[derive(Debug)]
pub struct Blocks<K: BlockKind> {
    /// The offset in the file at which reading began.
    begin: u64,
    path: PathBuf,
    content: FileContent,
    /// `None` once the file has ended.
    decoder: Option<Decoder<K>>,
    ready: VecDeque<Item<K>>,
    chunk: Box<[u8]>,
}

impl<K: BlockKind> Blocks<K> {
    /// Opens `path`; `None` if there is no such file. If the name ends in `.zst`, the file is decompressed, and the
    /// positions of blocks are offsets in the decompressed content.
    ///
    /// # Errors
    /// When the file cannot be opened, or is not a regular file.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        Self::open_at(path, 0)
    }

    /// Opens `path` at the end of a block that was read earlier. The positions of blocks are relative to that offset. A
    /// file that is now shorter, or compressed, is read from its beginning.
    ///
    /// # Errors
    /// Like [`Blocks::open`].
    pub fn open_at(path: &Path, offset: u64) -> Result<Option<Self>, StoreError> {
        let mut content = match compressed::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(StoreError::io("open", path))?,
        };
        let begin = content.skip_to(offset).map_err(StoreError::io("read", path))?;
        Ok(Some(Self {
            begin,
            path: path.to_owned(),
            content,
            decoder: Some(Decoder::new()),
            ready: VecDeque::new(),
            chunk: vec![0; CHUNK_BYTES].into(),
        }))
    }

    /// The offset in the file at which reading began.
    pub fn begin(&self) -> u64 {
        self.begin
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&mut self, decoder: &mut Decoder<K>) -> Result<usize, StoreError> {
        let read = loop {
            match self.content.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(StoreError::io("read", &self.path))?,
            }
        };
        self.ready.extend(decoder.feed(&self.chunk[..read]).into_iter().map(|event| match event {
            BlockEvent::Block(found) => Item::Block(found),
            BlockEvent::Damage(damage) => Item::Damage(damage),
        }));
        Ok(read)
    }
}

impl<K: BlockKind> Iterator for Blocks<K> {
    type Item = Result<Item<K>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            let mut decoder = self.decoder.take()?;
            match self.read(&mut decoder) {
                Ok(0) => self.ready.extend(decoder.finish().map(Item::Tail)),
                Ok(_) => self.decoder = Some(decoder),
                Err(StoreError::Io { source, .. }) if self.content.is_damaged(&source) => {
                    self.ready.push_back(Item::Damage(decoder.break_off()));
                }
                Err(error) => return Some(Err(error)),
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
