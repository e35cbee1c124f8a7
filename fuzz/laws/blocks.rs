//! What holds for the reader of the hourly, daily and monthly logs on every text. The fuzzer looks for one that breaks it, and
//! the test of the corpus looks at every text that was ever of interest.

use flow_agent::ledger::block::{
    BlockDamage, BlockEvent, BlockKind, Daily, Decoder, FoundBlock, Hourly, Monthly, Tail,
};
use flow_agent::ledger::seal;
use serde_json::Value;

/// The first byte says which log; panics where a law is broken.
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
    // It does not matter in which pieces a file is read.
    for size in [1, 7, 4096] {
        let pieces = self::read::<K>(text, size);
        assert_eq!((&pieces.blocks, pieces.lost()), (&read.blocks, read.lost()), "in pieces of {size} bytes");
    }
    // A file that was cut short has lost blocks at its end, and no block is another than before.
    let half = self::read::<K>(&text[..text.len() / 2], usize::MAX);
    assert!(read.blocks.starts_with(&half.blocks));

    // Hardly any text that comes to mind has the right checksums, so one is tried with checksums that are right.
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
    /// The lines that do not count, from which line and how many, in order.
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
    // Blocks and damage do not overlap, and together they are the whole file, but for single bytes in the
    // place of the newline between two blocks.
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
        // Written again, it is read as the same.
        let mut again = found.block.clone();
        let written = again.encode();
        let reread = self::read::<K>(written.as_bytes(), usize::MAX);
        assert_eq!(reread.blocks.len(), 1, "{written}");
        assert_eq!(reread.blocks[0].block.lines, found.block.lines);
    }
}

/// The last line of `text` as the seal of the lines before it, if it is JSON.
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
