use chrono::NaiveDate;
use proptest::prelude::*;

use super::*;
use crate::ledger::block::BlockDamage;
use crate::ledger::block::{BlockEvent, DayBlock, Decoder, Sink};
use crate::ledger::record::{Kind, VERSION};

/// What a reader that adds up was given.
#[derive(Default)]
struct Added {
    figures: DayFigures,
    blocks: Vec<(DaySeal, u64, std::ops::Range<u64>, Vec<DayLine>)>,
    damages: Vec<String>,
}

impl Sink<Daily> for Added {
    fn parse<'l>(&mut self, seal: &DaySeal, lines: impl Iterator<Item = (u64, &'l [u8])>) -> Result<(), (u64, Fault)> {
        self.figures.read(seal, lines)
    }

    fn block(&mut self, seal: DaySeal, line: u64, bytes: std::ops::Range<u64>) {
        let lines = self.figures.iter();
        let lines = lines.map(|of| DayLine::new(seal.day, of.port, of.user.map(str::to_owned), of.counters)).collect();
        self.blocks.push((seal, line, bytes, lines));
    }

    fn damage(&mut self, damage: BlockDamage) {
        self.damages.push(format!("{damage:?}"));
    }
}

fn day(number: u32, lines: &[(u16, Option<String>, [u64; 8])]) -> String {
    let day = NaiveDate::from_ymd_opt(2026, 10, number).unwrap();
    let line = |(port, user, numbers): &(u16, Option<String>, [u64; 8])| {
        DayLine::new(day, *port, user.clone(), Counters::from_array(*numbers))
    };
    let seal = DaySeal {
        v: VERSION,
        kind: Kind::Seal,
        day,
        node: "hk-1".into(),
        zone: "UTC".into(),
        ports: 0,
        seconds_in_day: 86_400,
        seconds_covered: 86_400,
        buckets_expected: 24,
        buckets_sealed: 24,
        quality: Default::default(),
        gaps: Vec::new(),
        late: None,
        at: None,
        sha256: String::new(),
    };
    DayBlock { lines: lines.iter().map(line).collect(), seal }.encode()
}

/// Both readers find the same in `text`, cut into pieces of `chunk` bytes.
fn assert_same(text: &[u8], chunk: usize) -> usize {
    let (mut whole, mut adding, mut added) = (Decoder::<Daily>::new(), Decoder::<Daily>::new(), Added::default());
    let (mut blocks, mut damages) = (Vec::new(), Vec::new());
    for piece in text.chunks(chunk) {
        for event in whole.feed(piece) {
            match event {
                BlockEvent::Block(found) => {
                    blocks.push((found.block.seal, found.line, found.bytes, found.block.lines));
                }
                BlockEvent::Damage(damage) => damages.push(format!("{damage:?}")),
            }
        }
        adding.feed_to(piece, &mut added);
    }
    assert_eq!(format!("{:?}", whole.finish()), format!("{:?}", adding.finish()));
    assert_eq!(damages, added.damages);
    assert_eq!(blocks, added.blocks);
    blocks.len()
}

#[test]
fn lines_of_every_form_say_the_same() {
    let name = |text: &str| Some(text.to_owned());
    let lines = [
        (443, None, [0, 1, 2, 3, 4, 5, 6, 7]),
        (443, name("bob"), [u64::MAX, 0, 10, 100, 12_345_678, 123_456_789, 99_999_999, 1_000_000_000_000]),
        (8388, name("张三 \"quoted\" \\ and more"), [1; 8]),
        (8388, name("zoë"), [u64::MAX - 1; 8]),
    ];
    let text = day(5, &lines) + &day(6, &lines[..1]) + &day(7, &[]);
    assert_eq!(assert_same(text.as_bytes(), 64 << 10), 3);
    // The JSON parser reads what the scanner leaves to it.
    let spaced = "{\"v\":1, \"kind\":\"day\", \"day\":\"2026-10-05\", \"port\":1, ";
    let text = text.replace("{\"v\":1,\"kind\":\"day\",\"day\":\"2026-10-05\",\"port\":443,", spaced);
    assert_same(text.as_bytes(), 100);
}

proptest! {
    #[test]
    fn both_readers_find_the_same_in_damaged_files(
        lines in prop::collection::vec((1..9_u16, prop::option::of("[a-c\"\\\\é\u{202e} ]{0,4}"), any::<[u64; 8]>()), 0..6),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 0..3),
        cut in any::<prop::sample::Index>(),
        chunk in 1..400_usize,
    ) {
        let mut text = (day(5, &lines) + &day(6, &lines)).into_bytes();
        let at = |index: &prop::sample::Index| index.index(text.len());
        let flips: Vec<_> = flips.iter().map(|(index, bit)| (at(index), *bit)).collect();
        for (at, bit) in flips {
            text[at] ^= 1 << bit;
        }
        if cut.index(4) == 0 {
            text.truncate(cut.index(text.len()));
        }
        assert_same(&text, chunk);
    }
}
