//! The laws that the reader of the hourly, daily and monthly logs obeys for every text. The fuzzer searches for a text
//! that breaks one, and a test checks all texts in the corpus.

use flow_agent::ledger::block::{
    BlockDamage, BlockEvent, BlockKind, Daily, Decoder, FoundBlock, Hourly, Monthly, Tail,
};
use flow_agent::ledger::seal;
use serde_json::Value;

/// Checks the laws for the log selected by the first byte. Panics if one is broken.
pub fn hold(input: &[u8]) {
    let Some((first, text)) = input.split_first() else { return };
    match first % 3 {
        0 => hold_for::<Hourly>(text),
        1 => hold_for::<Daily>(text),
        _ => hold_for::<Monthly>(text),
    }
}

fn hold_for<K: BlockKind>(text: &[u8]) {
    let read = read::<K>(text, text.len().max(1));
    check::<K>(text, &read);
    // The pieces in which a file is read do not matter.
    for size in [1, 7, 4096] {
        let pieces = self::read::<K>(text, size);
        assert_eq!((&pieces.blocks, pieces.lost()), (&read.blocks, read.lost()), "in pieces of {size} bytes");
    }
    // A truncated file has lost blocks at its end, and all other blocks are the same.
    let half = self::read::<K>(&text[..text.len() / 2], usize::MAX);
    assert!(read.blocks.starts_with(&half.blocks));

    // Hardly any random text has the right checksums, so the text is also tried with corrected ones.
    if let Some(sealed) = with_checksums(text) {
        check::<K>(&sealed, &self::read::<K>(&sealed, usize::MAX));
    }
}

/// Everything that was found in a file.
struct Read<K: BlockKind> {
    blocks: Vec<FoundBlock<K>>,
    damages: Vec<BlockDamage>,
    tail: Option<Tail>,
}

impl<K: BlockKind> Read<K> {
    /// The ignored parts in file order: the number of the faulty line, and the number of lines.
    fn lost(&self) -> Vec<(u64, u64)> {
        let tail = self.tail.as_ref().map(|tail| &tail.damage);
        self.damages.iter().chain(tail).map(|damage| (damage.line, damage.lines)).collect()
    }
}

fn read<K: BlockKind>(text: &[u8], size: usize) -> Read<K> {
    let mut decoder = Decoder::<K>::new();
    let (mut blocks, mut damages) = (Vec::new(), Vec::new());
    for piece in text.chunks(size.min(text.len().max(1))) {
        for event in decoder.feed(piece) {
            match event {
                BlockEvent::Block(found) => blocks.push(found),
                BlockEvent::Damage(damage) => damages.push(damage),
            }
        }
    }
    Read { blocks, damages, tail: decoder.finish() }
}

fn check<K: BlockKind>(text: &[u8], read: &Read<K>) {
    // Blocks and damage do not overlap, and together they cover the whole file, except for single bytes in place of the
    // newline between two blocks.
    let damaged = read.damages.iter().chain(read.tail.as_ref().map(|tail| &tail.damage));
    let mut parts: Vec<_> = damaged.map(|damage| damage.bytes.clone()).collect();
    parts.extend(read.blocks.iter().map(|found| found.bytes.clone()));
    parts.push(text.len() as u64..text.len() as u64);
    parts.sort_by_key(|part| (part.start, part.end));
    let mut end = 0;
    for part in &parts {
        assert!(end <= part.start, "{parts:?}");
        let between = &text[end as usize..part.start as usize];
        assert!(between.len() <= 1, "{:?} of {parts:?}", String::from_utf8_lossy(between));
        end = part.end;
    }

    for found in &read.blocks {
        let bytes = &text[found.bytes.start as usize..found.bytes.end as usize];
        let (lines, _) = K::digest(&found.block.seal);
        assert_eq!(found.block.lines.len(), lines as usize);
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), lines as usize + 1);
        // A block that is written again is read as the same.
        let mut again = found.block.clone();
        let written = again.encode();
        let reread = self::read::<K>(written.as_bytes(), usize::MAX);
        assert_eq!(reread.blocks.len(), 1, "{written}");
        assert_eq!(reread.blocks[0].block.lines, found.block.lines);
    }
}

/// Makes the last line of `text` a valid seal of the lines before it, if it is JSON.
fn with_checksums(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let (lines, last) = text.rsplit_once('\n').map_or(("", text), |(lines, last)| (lines, last));
    let lines = if lines.is_empty() { String::new() } else { format!("{lines}\n") };
    let mut value: Value = serde_json::from_str(last).ok()?;
    let fields = value.as_object_mut()?;
    fields.remove("check");
    fields.insert("ports".into(), lines.lines().count().into());
    fields.insert("sha256".into(), seal::sha256_hex(lines.as_bytes()).into());
    Some(format!("{lines}{}\n", seal::with_check(&value.to_string())).into_bytes())
}
