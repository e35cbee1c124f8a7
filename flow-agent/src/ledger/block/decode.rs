//! Reads blocks from a stream of bytes, accepts only whole ones, and reports the rest as damage.
//!
//! A bad line invalidates only its own block, because a seal says how many lines before it belong to it. Lines are kept
//! raw until their seal is read. Then their checksum is verified, and each line is parsed once.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Block;
use super::fault::{BlockDamage, Fault};
use super::kind::BlockKind;
use super::waiting::Waiting;
use crate::ledger::record::{Kind, VERSION};
use crate::ledger::seal::{check_holds, sha256_hex};

/// Maximum length of a line: a seal may list many gaps and some ten thousand devices.
pub const MAX_LINE_BYTES: usize = 4 << 20;

/// Maximum number of lines that wait for a seal: twice the number of ports.
pub const MAX_LINES: usize = 1 << 17;

/// A whole block and its place in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundBlock<K: BlockKind> {
    pub block: Block<K>,
    /// The number of its first line, from 1.
    pub line: u64,
    /// Its bytes in the file, seal and newline included.
    pub bytes: Range<u64>,
}

/// The result of reading up to a seal.
#[derive(Debug)]
pub enum BlockEvent<K: BlockKind> {
    Block(FoundBlock<K>),
    Damage(BlockDamage),
}

/// Takes what a [`Decoder`] finds.
pub trait Sink<K: BlockKind> {
    /// Parses the lines under `seal`, with their numbers. They may still turn out not to be those that were sealed: only
    /// [`Sink::block`] says so.
    ///
    /// # Errors
    /// The number of a faulty line, and its fault.
    fn parse<'l>(&mut self, seal: &K::Seal, lines: impl Iterator<Item = (u64, &'l [u8])>) -> Result<(), (u64, Fault)>;

    /// Takes the block of the lines that were parsed last: the number of its first line, and its bytes in the file.
    fn block(&mut self, seal: K::Seal, line: u64, bytes: Range<u64>);

    /// Takes lines that were rejected.
    fn damage(&mut self, damage: BlockDamage);
}

/// Keeps everything.
struct Events<K: BlockKind> {
    lines: Vec<K::Line>,
    events: Vec<BlockEvent<K>>,
}

impl<K: BlockKind> Sink<K> for Events<K> {
    fn parse<'l>(&mut self, seal: &K::Seal, lines: impl Iterator<Item = (u64, &'l [u8])>) -> Result<(), (u64, Fault)> {
        let scan = K::scanner(seal);
        self.lines = Vec::with_capacity(usize::try_from(K::digest(seal).0).unwrap_or(MAX_LINES).min(MAX_LINES));
        for (number, line) in lines {
            let parsed = match scan(line) {
                Some(parsed) => parsed,
                None => parse_json(line).map_err(|fault| (number, fault))?,
            };
            K::check_line(seal, &parsed).map_err(|fault| (number, fault))?;
            self.lines.push(parsed);
        }
        Ok(())
    }

    fn block(&mut self, seal: K::Seal, line: u64, bytes: Range<u64>) {
        let block = Block { lines: std::mem::take(&mut self.lines), seal };
        self.events.push(BlockEvent::Block(FoundBlock { block, line, bytes }));
    }

    fn damage(&mut self, damage: BlockDamage) {
        self.events.push(BlockEvent::Damage(damage));
    }
}

/// Lines without a seal at the end of a file, which must be cut off before anything is appended.
#[derive(Debug)]
pub struct Tail {
    /// Its place and what is wrong.
    pub damage: BlockDamage,
    /// Whether its last line has no newline because writing it was interrupted.
    pub torn: bool,
}

/// Reads the blocks of one file. Holds one line and the lines of one block, at most [`BlockKind::MAX_BYTES`].
#[derive(Debug)]
pub struct Decoder<K: BlockKind> {
    /// The beginning of a line whose end has not been read yet.
    partial: Vec<u8>,
    /// The number of bytes of that line that were dropped because it is too long.
    dropped: usize,
    pub(super) waiting: Waiting,
    /// Whether the checksum of the lines is not looked at.
    is_trusting: bool,
    kind: PhantomData<K>,
}

/// The fields that every line has.
#[derive(Deserialize)]
struct Header<'a> {
    v: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

impl<K: BlockKind> Default for Decoder<K> {
    fn default() -> Self {
        Self { partial: Vec::new(), dropped: 0, waiting: Waiting::default(), is_trusting: false, kind: PhantomData }
    }
}

impl<K: BlockKind> Decoder<K> {
    /// At the beginning of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// At the beginning of a file that was verified before, and of which the caller knows that it is still the same: the
    /// SHA-256 of the lines, which is half of the work, is not computed. Everything else is checked as ever.
    pub fn trusting() -> Self {
        Self { is_trusting: true, ..Self::default() }
    }

    /// Reads the next bytes of the file and returns the blocks that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<BlockEvent<K>> {
        let mut all = Events { lines: Vec::new(), events: Vec::new() };
        self.feed_to(bytes, &mut all);
        all.events
    }

    /// Reads the next bytes of the file, and hands what they complete to `sink`.
    pub fn feed_to(&mut self, bytes: &[u8], sink: &mut impl Sink<K>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let newline = memchr::memchr(b'\n', rest);
            let (piece, after) = rest.split_at(newline.map_or(rest.len(), |newline| newline + 1));
            rest = after;
            let ends = newline.is_some();
            if ends && self.partial.is_empty() && self.dropped == 0 && piece.len() <= MAX_LINE_BYTES {
                self.line(piece, sink);
            } else {
                self.piece(piece);
                if ends {
                    self.assembled(sink);
                }
            }
        }
    }

    /// Rejects what waits for its seal, because the rest of the file cannot be decompressed.
    pub fn break_off(mut self) -> BlockDamage {
        self.waiting.drop_line(self.partial.len() + self.dropped, Fault::Compression);
        self.waiting.reject::<K>(None).expect("at least the line that was just dropped is waiting")
    }

    /// Returns what is left at the end of the file.
    pub fn finish(mut self) -> Option<Tail> {
        let cut_off = self.partial.len() + self.dropped;
        if cut_off > 0 {
            self.waiting.drop_line(cut_off, Fault::Torn);
        }
        let damage = self.waiting.reject::<K>(None)?;
        Some(Tail { damage, torn: cut_off > 0 })
    }

    /// Appends to the partial line, or drops it if it becomes too long.
    fn piece(&mut self, piece: &[u8]) {
        if self.dropped > 0 || self.partial.len() + piece.len() > MAX_LINE_BYTES {
            self.dropped += self.partial.len() + piece.len();
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(piece);
        }
    }

    fn assembled(&mut self, sink: &mut impl Sink<K>) {
        if self.dropped > 0 {
            self.waiting.drop_line(self.dropped, Fault::TooLong { limit: MAX_LINE_BYTES });
            self.dropped = 0;
            self.waiting.reject::<K>(None).into_iter().for_each(|damage| sink.damage(damage));
        } else {
            let line = std::mem::take(&mut self.partial);
            self.line(&line, sink);
            // Its capacity serves the next one.
            self.partial = line;
            self.partial.clear();
        }
    }

    /// Handles one line including its newline.
    fn line(&mut self, mut line: &[u8], sink: &mut impl Sink<K>) {
        loop {
            if line.starts_with(K::BEGIN) {
                return self.wait(line, None, sink);
            }
            let fault = match classify::<K>(line) {
                Ok(Kind::Seal) => return self.seal(line, sink),
                Ok(_) => return self.wait(line, None, sink),
                Err(fault) => fault,
            };
            let Some((seal, next)) = split_after_check(line) else { return self.wait(line, Some(fault), sink) };
            // The newline after a seal was overwritten, so the rest of this line belongs to the next block.
            self.seal(seal, sink);
            self.waiting.skip_byte();
            line = next;
        }
    }

    fn wait(&mut self, line: &[u8], fault: Option<Fault>, sink: &mut impl Sink<K>) {
        let too_long = self.waiting.bytes().len() + line.len() > K::MAX_BYTES;
        if too_long || self.waiting.len() >= MAX_LINES {
            let fault =
                if too_long { Fault::TooLong { limit: K::MAX_BYTES } } else { Fault::TooMany { limit: MAX_LINES } };
            let culprit = (self.waiting.next_line(), fault);
            self.waiting.reject::<K>(Some(culprit)).into_iter().for_each(|damage| sink.damage(damage));
        }
        self.waiting.take(line, fault);
    }

    fn seal(&mut self, line: &[u8], sink: &mut impl Sink<K>) {
        let number = self.waiting.next_line();
        let seal = match read_seal::<K>(line) {
            Ok(seal) => seal,
            Err(fault) => {
                self.waiting.take(line, None);
                self.waiting.reject::<K>(Some((number, fault))).into_iter().for_each(|damage| sink.damage(damage));
                return;
            }
        };
        let count = usize::try_from(K::digest(&seal).0).unwrap_or(usize::MAX);
        if let Some(extra) = self.waiting.len().checked_sub(count).filter(|extra| *extra > 0) {
            self.waiting.reject_first::<K>(extra).into_iter().for_each(|damage| sink.damage(damage));
        }
        let result = self.lines_under(&seal, number, sink);
        let (first_line, begin) = (self.waiting.first_line(), self.waiting.offset());
        self.waiting.take(line, None);
        match result {
            Ok(()) => {
                let bytes = begin..self.waiting.end();
                self.waiting.clear();
                sink.block(seal, first_line, bytes);
            }
            Err(culprit) => {
                let damage = self.waiting.reject::<K>(Some(culprit));
                // The time in the seal, whose own checksum is right, is more reliable than that in the damaged lines.
                let damage = damage.map(|damage| BlockDamage { span: K::seal_span(&seal).or(damage.span), ..damage });
                damage.into_iter().for_each(|damage| sink.damage(damage));
            }
        }
    }

    /// Verifies and parses all waiting lines, or returns the number of the faulty line and its fault.
    fn lines_under(&mut self, seal: &K::Seal, seal_number: u64, sink: &mut impl Sink<K>) -> Result<(), (u64, Fault)> {
        if let Some(culprit) = self.waiting.take_fault() {
            return Err(culprit);
        }
        let (sealed, sha256) = K::digest(seal);
        let found = self.waiting.len();
        if usize::try_from(sealed) != Ok(found) {
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            return Err((seal_number, Fault::Count { sealed, found }));
        }
        let summed = self.is_trusting || sha256_hex(self.waiting.bytes()) == sha256;
        // If the checksum is wrong, this only finds the line that caused it.
        sink.parse(seal, self.waiting.lines())?;
        if summed { Ok(()) } else { Err((seal_number, Fault::Sha256)) }
    }
}

/// Reads a seal, with or without its newline, and verifies its own checksum if it has one; the lines under it are not
/// looked at.
///
/// # Errors
/// What is wrong with it.
pub fn read_seal<K: BlockKind>(line: &[u8]) -> Result<K::Seal, Fault> {
    let text = std::str::from_utf8(line).map_err(|_| Fault::Check)?;
    if check_holds(text) == Some(false) {
        return Err(Fault::Check);
    }
    let seal = serde_json::from_str(text).map_err(json_fault)?;
    K::check_seal(&seal)?;
    Ok(seal)
}

/// The kind of a line, if that kind is allowed here.
fn classify<K: BlockKind>(line: &[u8]) -> Result<Kind, Fault> {
    let header: Header<'_> = serde_json::from_slice(line).map_err(json_fault)?;
    if header.v != u64::from(VERSION) {
        return Err(Fault::Version { found: header.v });
    }
    match header.kind {
        kind if kind == Kind::Seal.name() => Ok(Kind::Seal),
        kind if kind == K::LINE.name() => Ok(K::LINE),
        kind => Err(Fault::Kind { found: kind.chars().take(32).collect() }),
    }
}

/// Parses a line with the JSON parser.
pub(super) fn parse_json<T: DeserializeOwned>(line: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(line).map_err(json_fault)
}

fn json_fault(error: serde_json::Error) -> Fault {
    if error.is_data() { Fault::Field(error) } else { Fault::NotJson(error) }
}

/// Splits `{…,"check":"1f2e3d4c"}?{…` into the seal and the text after the byte that follows it.
fn split_after_check(line: &[u8]) -> Option<(&[u8], &[u8])> {
    const CHECK: &[u8] = br#","check":""#;
    let check = line.windows(CHECK.len()).position(|window| window == CHECK)?;
    let end = check + CHECK.len() + r#"1f2e3d4c"}"#.len();
    let (seal, rest) = line.split_at_checked(end)?;
    let next = rest.get(1..).filter(|next| next.starts_with(b"{"))?;
    seal.ends_with(b"\"}").then_some((seal, next))
}
