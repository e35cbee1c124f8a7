//! Golden files of format version 1, which another program wrote from the specification. As long as version 1 is
//! supported, they must be readable, and writing them again must give the same bytes.

use crate::ledger::block::{Block, BlockEvent, BlockKind, Daily, Decoder, Hourly, Monthly};
use crate::ledger::record::Quality;

const HOURLY: &str = include_str!("../../../tests/fixtures/v1/hourly/2026-10-05.jsonl");
const DAILY: &str = include_str!("../../../tests/fixtures/v1/daily/2026-10.jsonl");
const MONTHLY: &str = include_str!("../../../tests/fixtures/v1/monthly/2026.jsonl");

fn read<K: BlockKind>(text: &str) -> Vec<Block<K>> {
    let mut decoder = Decoder::<K>::new();
    let events = decoder.feed(text.as_bytes());
    assert!(decoder.finish().is_none(), "a file ends with a seal");
    let block = |event| match event {
        BlockEvent::Block(found) => found.block,
        BlockEvent::Damage(damage) => panic!("{damage:?}"),
    };
    events.into_iter().map(block).collect()
}

fn write<K: BlockKind>(blocks: &mut [Block<K>]) -> String {
    blocks.iter_mut().map(Block::encode).collect()
}

#[test]
fn an_hourly_file_is_read_and_written_again() {
    let mut blocks = read::<Hourly>(HOURLY);
    let qualities: Vec<_> = blocks.iter().map(|block| (block.seal.seq, block.seal.quality)).collect();
    assert_eq!(qualities, [(None, Quality::Import), (Some(42), Quality::Exact), (Some(43), Quality::Gap)]);
    assert_eq!(blocks[0].lines[0].total, None);
    let closed = &blocks[1].lines[2];
    assert_eq!((closed.port, closed.user.as_deref(), closed.closed), (8_388, Some("张伟"), true));
    assert_eq!(closed.counters().to_array(), [10, 1, 20, 2, 30, 3, 40, 4]);
    assert_eq!(blocks[2].lines[0].tcp_in_bytes, u64::MAX);
    assert_eq!(blocks[2].seal.gaps[0].interface, "eth0");
    assert_eq!((blocks[2].seal.end - blocks[2].seal.start).num_seconds(), 3_607);
    assert_eq!(write(&mut blocks), HOURLY);
}

#[test]
fn a_daily_file_is_read_and_written_again() {
    let mut blocks = read::<Daily>(DAILY);
    assert_eq!(blocks.iter().map(|block| block.lines.len()).collect::<Vec<_>>(), [3, 1]);
    assert_eq!((blocks[0].seal.seconds_covered, blocks[0].seal.quality[&Quality::Exact]), (86_369, 24));
    assert_eq!(blocks[1].seal.late.as_ref().map(|late| late.bytes), Some(5));
    assert_eq!(write(&mut blocks), DAILY);
}

#[test]
fn a_monthly_file_is_read_and_written_again() {
    let mut blocks = read::<Monthly>(MONTHLY);
    let lines = &blocks[0].lines;
    assert_eq!((lines[0].user.as_deref(), lines[1].user.as_deref()), (Some("acct-443"), None));
    assert_eq!(
        (lines[1].ports.as_slice(), lines[1].by_node.get("hk-2").unwrap().tcp_in_bytes),
        ([8_388, 9_000].as_slice(), 1)
    );
    assert_eq!(write(&mut blocks), MONTHLY);
}
