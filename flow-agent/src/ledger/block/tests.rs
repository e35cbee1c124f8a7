use std::ops::Range;

use chrono::{DateTime, FixedOffset};
use proptest::prelude::*;

use super::*;
use crate::ledger::counters::{Counters, Flow, Others};
use crate::ledger::record::{DayLine, DaySeal, HourLine, HourSeal, Kind, MonthLine, MonthSeal, Quality, VERSION};

fn at(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

fn eight(first: u64) -> Counters {
    Counters::from_array(std::array::from_fn(|index| first + index as u64))
}

/// A bucket of an hour of 5 October with a line for each of `ports`.
fn bucket(hour: u32, ports: Range<u16>) -> HourBlock {
    let (start, end) =
        (at(&format!("2026-10-05T{hour:02}:00:00+08:00")), at(&format!("2026-10-05T{:02}:00:00+08:00", hour + 1)));
    let lines = ports
        .map(|port| {
            let total = Some(eight(1_000 * u64::from(port)).to_array());
            HourLine::new(start, end, port, Some(format!("acct-{port}")), eight(u64::from(hour)), total, port == 443)
        })
        .collect();
    let seal = HourSeal {
        v: VERSION,
        kind: Kind::Seal,
        seq: Some(u64::from(hour)),
        start,
        end,
        // Flipping one bit of `J` gives a newline.
        node: "JH-1".into(),
        epoch: "boot.map".into(),
        backend: None,
        count: None,
        pinned: Some(true),
        quality: Quality::Exact,
        gaps: Vec::new(),
        interfaces: vec!["eth0".into()],
        ports: 0,
        other: Others { non_ip: Flow { in_bytes: 5, ..Flow::default() }, ..Others::default() },
        other_total: None,
        devices: Vec::new(),
        blocked: Default::default(),
        blocked_total: Default::default(),
        device_total: None,
        boot_ms: Some(7),
        sha256: String::new(),
    };
    Block { lines, seal }
}

fn day(number: u32, lines: u16) -> DayBlock {
    let day = chrono::NaiveDate::from_ymd_opt(2026, 10, number).unwrap();
    let lines = (0..lines).map(|port| DayLine::new(day, port, None, eight(u64::from(number)))).collect();
    let seal = DaySeal {
        v: VERSION,
        kind: Kind::Seal,
        day,
        node: "hk-1".into(),
        zone: "Asia/Shanghai".into(),
        ports: 0,
        seconds_in_day: 86_400,
        seconds_covered: 86_400,
        buckets_expected: 24,
        buckets_sealed: 24,
        quality: [(Quality::Exact, 24)].into(),
        gaps: Vec::new(),
        late: None,
        at: None,
        sha256: String::new(),
    };
    Block { lines, seal }
}

fn month() -> MonthBlock {
    let month = "2026-10".parse().unwrap();
    let by_node = [("hk-1".to_owned(), eight(1))].into();
    let lines = vec![MonthLine::new(month, Some("acct-443".into()), vec![443], eight(1), by_node, Some(1.0))];
    Block { lines, seal: MonthSeal { v: VERSION, kind: Kind::Seal, month, lines: 0, sha256: String::new() } }
}

struct Outcome<K: BlockKind> {
    found: Vec<FoundBlock<K>>,
    damages: Vec<BlockDamage>,
    tail: Option<Tail>,
}

impl<K: BlockKind> Outcome<K> {
    fn blocks(&self) -> Vec<Block<K>> {
        self.found.iter().map(|found| found.block.clone()).collect()
    }

    fn only_damage(&self) -> &BlockDamage {
        assert_eq!(self.damages.len(), 1, "{:?}", self.damages);
        &self.damages[0]
    }
}

fn decode_in<K: BlockKind>(bytes: &[u8], chunk: usize) -> Outcome<K> {
    let mut decoder = Decoder::<K>::new();
    let (mut found, mut damages) = (Vec::new(), Vec::new());
    for chunk in bytes.chunks(chunk) {
        for event in decoder.feed(chunk) {
            match event {
                BlockEvent::Block(block) => found.push(block),
                BlockEvent::Damage(damage) => damages.push(damage),
            }
        }
    }
    Outcome { found, damages, tail: decoder.finish() }
}

fn decode<K: BlockKind>(bytes: &[u8]) -> Outcome<K> {
    decode_in(bytes, 1 << 16)
}

#[test]
fn what_is_written_is_what_the_contract_shows() {
    let mut block = bucket(13, 8_388..8_389);
    block.lines[0].total = None;
    block.seal.boot_ms = None;
    let text = block.encode();
    let (line, seal) = text.split_once('\n').unwrap();
    assert_eq!(
        line,
        r#"{"v":1,"kind":"hour","start":"2026-10-05T13:00:00+08:00","end":"2026-10-05T14:00:00+08:00","port":8388,"user":"acct-8388","tcp_in_bytes":13,"tcp_in_packets":14,"tcp_out_bytes":15,"tcp_out_packets":16,"udp_in_bytes":17,"udp_in_packets":18,"udp_out_bytes":19,"udp_out_packets":20}"#
    );
    // `sha256sum` of that line, and CRC-32C of the seal before `,"check"`, both computed with other programs.
    let flow = |bytes| format!(r#"{{"in_bytes":{bytes},"in_packets":0,"out_bytes":0,"out_packets":0}}"#);
    let zero = flow(0);
    assert_eq!(
        seal,
        [
            r#"{"v":1,"kind":"seal","seq":13,"start":"2026-10-05T13:00:00+08:00","end":"2026-10-05T14:00:00+08:00","#,
            r#""node":"JH-1","epoch":"boot.map","pinned":true,"quality":"exact","gaps":[],"interfaces":["eth0"],"ports":1,"#,
            &format!(r#""other":{{"other_ports":{zero},"other_ip":{zero},"non_ip":{},"#, flow(5)),
            &format!(r#""other_host":{zero},"fragment_unmatched":{zero},"unparsed":{zero}}},"devices":[],"#),
            r#""sha256":"1dcbeb7781f5c146ab8f91a8d31b82d7f3db0cd1635d8c37d695f33299090589","check":"63856e6e"}"#,
            "\n",
        ]
        .concat()
    );
}

#[test]
fn what_was_written_is_read_again_whatever_the_pieces() {
    let mut blocks = [bucket(13, 443..447), bucket(14, 0..0), bucket(15, 443..444)];
    let text: String = blocks.iter_mut().map(Block::encode).collect();
    for chunk in [1, 7, 100, 1_000, 1 << 20] {
        let outcome = decode_in::<Hourly>(text.as_bytes(), chunk);
        assert_eq!(outcome.blocks(), blocks, "in pieces of {chunk}");
        assert!(outcome.damages.is_empty() && outcome.tail.is_none());
        assert_eq!(outcome.found.iter().map(|found| found.line).collect::<Vec<_>>(), [1, 6, 7]);
        let ends: Vec<_> = outcome.found.iter().map(|found| found.bytes.clone()).collect();
        assert_eq!((ends[0].start, ends[0].end, ends[1].end), (0, ends[1].start, ends[2].start));
        assert_eq!(ends[2].end, text.len() as u64);
    }
}

#[test]
fn a_file_cut_at_any_length_keeps_its_complete_blocks_and_shows_where_to_cut() {
    let mut blocks = [bucket(13, 443..446), bucket(14, 443..446)];
    let first = blocks[0].encode();
    let text = first.clone() + &blocks[1].encode();
    for length in 0..=text.len() {
        let outcome = decode::<Hourly>(&text.as_bytes()[..length]);
        let whole = [first.len(), text.len()].iter().filter(|end| length >= **end).count();
        assert_eq!(outcome.blocks(), blocks[..whole], "cut at {length}");
        assert!(outcome.damages.is_empty(), "cut at {length}");
        let sound = [0, first.len(), text.len()][whole];
        match outcome.tail {
            Some(tail) => {
                assert_eq!(tail.damage.bytes, sound as u64..length as u64, "cut at {length}");
                assert_eq!(tail.torn, !text[..length].ends_with('\n'));
            }
            None => assert_eq!(length, sound),
        }
    }
}

#[test]
fn a_flipped_bit_costs_its_own_block_at_most_and_nothing_wrong_is_accepted() {
    let mut blocks = [bucket(13, 443..445), bucket(14, 443..445), bucket(15, 443..445)];
    let texts = [blocks[0].encode(), blocks[1].encode(), blocks[2].encode()];
    let (middle, end) = (texts[0].len(), texts[0].len() + texts[1].len());
    let text = texts.concat();
    let mut kept = 0;
    for index in middle..end {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[index] ^= 1 << bit;
            let outcome = decode::<Hourly>(&bytes);
            let found = outcome.blocks();
            assert!(outcome.tail.is_none());
            assert_eq!((&found[0], &found[found.len() - 1]), (&blocks[0], &blocks[2]), "byte {index}, bit {bit}");
            match found.len() {
                2 => assert!(!outcome.damages.is_empty(), "byte {index}, bit {bit}"),
                3 => {
                    // The flip hit the name `check` or the newline after the seal, neither of which is part of the
                    // bucket.
                    assert_eq!(found[1], blocks[1], "byte {index}, bit {bit}");
                    kept += 1;
                }
                other => panic!("{other} blocks, byte {index}, bit {bit}"),
            }
            for damage in &outcome.damages {
                assert!(damage.bytes.start >= middle as u64 && damage.bytes.end <= end as u64 + 1, "{damage:?}");
            }
        }
    }
    // Flips that lose nothing: eight bits each of the 11 bytes of `,"check":"` and `"}`, and of the newline.
    assert!(kept <= 8 * 12, "{kept}");
}

#[test]
fn each_fault_is_named_with_its_line() {
    let mut blocks = [bucket(13, 443..446), bucket(14, 443..446)];
    let text: String = blocks.iter_mut().map(Block::encode).collect();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let with = |number: usize, line: &str| {
        let mut lines = lines.clone();
        lines[number - 1] = line;
        decode::<Hourly>(lines.concat().as_bytes())
    };
    let edited = |number: usize, from: &str, to: &str| with(number, &lines[number - 1].replace(from, to));

    type Expected = fn(&Fault) -> bool;
    let cases: [(u64, u64, Outcome<Hourly>, Expected); 12] = [
        (2, 2, with(2, "}\n"), |fault| matches!(fault, Fault::NotJson(_))),
        (2, 2, with(2, "\n"), |fault| matches!(fault, Fault::NotJson(_))),
        (2, 2, edited(2, "\"v\":1", "\"v\":2"), |fault| matches!(fault, Fault::Version { found: 2 })),
        (2, 2, edited(2, "\"hour\"", "\"day\""), |fault| matches!(fault, Fault::Kind { found } if found == "day")),
        (2, 2, edited(2, "\"tcp_in_bytes\":13", "\"tcp_in_bytes\":-1"), |fault| matches!(fault, Fault::Field(_))),
        (2, 2, edited(2, "bytes\":13", "bytes\":18446744073709551616"), |fault| matches!(fault, Fault::Field(_))),
        (2, 2, edited(2, "bytes\":13", "bytes\":1e30"), |fault| matches!(fault, Fault::Field(_))),
        (2, 2, edited(2, "\"port\":444", "\"port\":70000"), |fault| matches!(fault, Fault::Field(_))),
        (2, 2, edited(2, "acct", "\u{202e}"), |fault| matches!(fault, Fault::Name(_))),
        (2, 4, edited(2, "bytes\":13", "bytes\":14"), |fault| matches!(fault, Fault::Sha256)),
        (2, 4, with(2, ""), |fault| matches!(fault, Fault::Count { sealed: 3, found: 2 })),
        (4, 4, edited(4, "JH-1", "JH-2"), |fault| matches!(fault, Fault::Check)),
    ];
    for (changed, named, outcome, expected) in cases {
        let damage = outcome.only_damage();
        assert!(expected(&damage.fault), "line {changed}: {:?}", damage.fault);
        let missing = u64::from(matches!(damage.fault, Fault::Count { .. }));
        assert_eq!(damage.line, named - missing, "{:?}", damage.fault);
        assert_eq!((damage.lines, damage.bytes.start), (4 - missing, 0));
        assert_eq!(damage.span, Some((blocks[0].seal.start, blocks[0].seal.end)));
        assert_eq!(outcome.blocks(), blocks[1..], "the other bucket is kept");
    }
}

#[test]
fn lines_without_a_seal_are_not_taken_for_the_next_buckets() {
    let mut blocks = [bucket(13, 443..446), bucket(14, 443..446)];
    let first = blocks[0].encode();
    let unsealed = first.len() - first.lines().last().unwrap().len() - 1;
    let text = first[..unsealed].to_owned() + &blocks[1].encode();
    let outcome = decode::<Hourly>(text.as_bytes());
    assert_eq!(outcome.blocks(), blocks[1..]);
    let damage = outcome.only_damage();
    assert!(matches!(damage.fault, Fault::Unsealed));
    assert_eq!((damage.line, damage.lines, damage.bytes.clone()), (1, 3, 0..unsealed as u64));
    assert_eq!(outcome.found[0].line, 4);
}

#[test]
fn a_check_is_verified_only_where_there_is_one() {
    let mut block = bucket(13, 443..444);
    let text = block.encode();
    let at = text.find(",\"check\"").unwrap();
    let foreign = text[..at].to_owned() + ", \"later\": {\"x\": [1]}}\n";
    assert_eq!(decode::<Hourly>(foreign.as_bytes()).blocks(), [block]);
}

#[test]
fn a_line_may_be_written_in_another_order() {
    let day_line = |user: &str| {
        format!(
            r#"{{ "kind": "day", "v": 1, "port": 1, "day": "2026-10-05", {user} "tcp_out_bytes": 2, "tcp_in_bytes": 1,
               "tcp_in_packets": 3, "tcp_out_packets": 4, "udp_in_bytes": 5, "udp_in_packets": 6, "udp_out_bytes": 7,
               "udp_out_packets": 8, "new": null}}"#
        )
        .replace('\n', "")
            + "\n"
    };
    let lines = day_line("") + &day_line(r#""user": "\u5f20","#);
    let mut block = day(5, 0);
    let seal = block.encode().replace("\"ports\":0", "\"ports\":2");
    let seal = seal.replace(&block.seal.sha256, &sha256_hex(lines.as_bytes()));
    let text = lines + &seal[..seal.find(",\"check\"").unwrap()] + "}\n";
    let outcome = decode::<Daily>(text.as_bytes());
    assert!(outcome.damages.is_empty(), "{:?}", outcome.damages);
    let lines = &outcome.found[0].block.lines;
    assert_eq!(lines[0].counters().to_array(), [1, 3, 2, 4, 5, 6, 7, 8]);
    assert_eq!((lines[0].user.as_deref(), lines[1].user.as_deref()), (None, Some("张")));
}

#[test]
fn a_line_under_another_days_seal_is_not_accepted() {
    let mut block = day(5, 2);
    block.lines[1].day = chrono::NaiveDate::from_ymd_opt(2026, 10, 6).unwrap();
    let outcome = decode::<Daily>(block.encode().as_bytes());
    assert!(matches!(outcome.only_damage().fault, Fault::Contradiction));
    assert_eq!(outcome.only_damage().line, 2);
    let mut boastful = day(5, 1);
    boastful.seal.seconds_covered = 86_401;
    assert!(matches!(decode::<Daily>(boastful.encode().as_bytes()).only_damage().fault, Fault::Contradiction));
}

#[test]
fn a_line_without_end_takes_no_memory_and_costs_its_own_block() {
    let mut blocks = [bucket(13, 443..444), bucket(14, 443..444)];
    let mut text = blocks[0].encode().into_bytes();
    text.extend(std::iter::repeat_n(b'x', 3 * MAX_LINE_BYTES));
    text.push(b'\n');
    text.extend(blocks[1].encode().bytes());
    for chunk in [4_096, 1 << 30] {
        let outcome = decode_in::<Hourly>(&text, chunk);
        assert_eq!(outcome.blocks(), blocks);
        let damage = outcome.only_damage();
        assert!(matches!(damage.fault, Fault::TooLong { .. }));
        assert_eq!((damage.line, damage.bytes.end - damage.bytes.start), (3, 3 * MAX_LINE_BYTES as u64 + 1));
        assert_eq!(outcome.found[1].line, 4);
    }
}

#[test]
fn the_beginning_of_a_line_that_is_too_long_is_measured_whole_where_the_file_ends() {
    let mut block = bucket(13, 443..444);
    let sound = block.encode().into_bytes();
    // Longer than a line may be, so none of it is kept; then a little more.
    let length = (MAX_LINE_BYTES + 1_000) as u64;
    let file = [sound.clone(), vec![b'x'; MAX_LINE_BYTES + 1_000]].concat();
    let place = sound.len() as u64..sound.len() as u64 + length;
    let feed = || {
        let mut decoder = Decoder::<Hourly>::new();
        let events: Vec<_> = file.chunks(1 << 16).flat_map(|chunk| decoder.feed(chunk)).collect();
        assert!(matches!(&events[..], [BlockEvent::Block(found)] if found.block == block));
        decoder
    };
    let tail = feed().finish().unwrap();
    assert!(tail.torn && matches!(tail.damage.fault, Fault::Torn));
    // The block has lines 1 and 2.
    assert_eq!((tail.damage.line, tail.damage.lines, tail.damage.bytes), (3, 1, place.clone()));
    let damage = feed().break_off();
    assert!(matches!(damage.fault, Fault::Compression));
    assert_eq!((damage.line, damage.lines, damage.bytes), (3, 1, place));
}

#[test]
fn a_line_of_many_false_seals_takes_no_more_stack_than_one() {
    // Each of these looks like a seal whose newline became another byte. A line has room for 45,000 of them.
    let one = br#"{,"check":"00000000"}?"#;
    let line = [one.repeat(MAX_LINE_BYTES / one.len() - 1), b"{}\n".to_vec()].concat();
    let mut file = line.clone();
    file.extend_from_slice(bucket(13, 443..445).encode().as_bytes());
    let Outcome { found, damages, .. } = decode::<Hourly>(&file);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].bytes, line.len() as u64..file.len() as u64);
    assert!(damages.iter().all(|damage| damage.bytes.end <= line.len() as u64));
}

#[test]
fn a_block_without_end_takes_bounded_memory() {
    let mut decoder = Decoder::<Daily>::new();
    let mut block = day(5, 200);
    // Names so long that the limit of bytes is reached before that of lines.
    block.lines.iter_mut().for_each(|line| line.user = Some("x".repeat(256)));
    let lines = block.encode();
    let lines = &lines[..lines.find("{\"v\":1,\"kind\":\"seal\"").unwrap()];
    let mut limits = 0;
    for _ in 0..2 * Daily::MAX_BYTES / lines.len() + 2 {
        limits += decoder.feed(lines.as_bytes()).len();
        assert!(decoder.waiting.bytes().len() <= Daily::MAX_BYTES);
    }
    assert_eq!(limits, 2);
}

#[test]
fn lines_without_number_take_bounded_memory() {
    let mut decoder = Decoder::<Daily>::new();
    let events: Vec<_> = (0..4).flat_map(|_| decoder.feed("\n".repeat(100_000).as_bytes())).collect();
    assert!(decoder.waiting.len() <= 1 << 17);
    assert_eq!(events.len(), 3);
    for event in events {
        let BlockEvent::Damage(damage) = event else { panic!("a block of nothing") };
        assert!(matches!(damage.fault, Fault::TooMany { .. }));
        assert_eq!(damage.lines, 1 << 17);
    }
}

#[test]
fn a_rejected_bucket_is_named_by_its_seal_where_its_lines_are_gone() {
    let mut block = bucket(13, 443..444);
    let text = block.encode().replacen("{\"v\"", "#", 1);
    let outcome = decode::<Hourly>(text.as_bytes());
    assert_eq!(outcome.only_damage().span, Some((block.seal.start, block.seal.end)));
}

#[test]
fn seals_are_refused_for_their_names_and_times() {
    fn fault<K: BlockKind>(mut block: Block<K>) -> Fault {
        let Outcome { found, mut damages, .. } = decode::<K>(block.encode().as_bytes());
        assert!(found.is_empty() && damages.len() == 1, "{damages:?}");
        assert_eq!((damages[0].line, damages[0].lines), (1, 1));
        damages.remove(0).fault
    }
    for name in ["", "hk\u{202e}1"] {
        // Without lines, which would be refused too.
        let mut hour = bucket(13, 0..0);
        hour.seal.node = name.into();
        assert!(matches!(fault(hour), Fault::Name(_)), "{name:?}");
        let mut daily = day(5, 0);
        daily.seal.node = name.into();
        assert!(matches!(fault(daily), Fault::Name(_)), "{name:?}");
        let mut daily = day(5, 0);
        daily.seal.zone = name.into();
        assert!(matches!(fault(daily), Fault::Name(_)), "{name:?}");
    }
    let mut backwards = bucket(13, 0..0);
    backwards.seal.end = at("2026-10-05T12:59:59+08:00");
    assert!(matches!(fault(backwards), Fault::Contradiction));
}

#[test]
fn a_month_line_is_refused_for_its_names_and_its_month() {
    let fault = |mut block: MonthBlock| {
        let Outcome { found, mut damages, .. } = decode::<Monthly>(block.encode().as_bytes());
        assert!(found.is_empty() && damages.len() == 1, "{damages:?}");
        assert_eq!((damages[0].line, damages[0].lines), (1, 2));
        damages.remove(0).fault
    };
    let mut user = month();
    user.lines[0].user = Some("a\u{202e}b".into());
    assert!(matches!(fault(user), Fault::Name(_)));
    let mut node = month();
    node.lines[0].by_node = [("hk\u{202e}1".to_owned(), eight(1))].into();
    assert!(matches!(fault(node), Fault::Name(_)));
    let mut other = month();
    other.lines[0].month = "2026-09".parse().unwrap();
    assert!(matches!(fault(other), Fault::Contradiction));
    // `NODE/USER` may be longer than the name of a user.
    let mut sound = month();
    sound.lines[0].user = Some(format!("{}/{}", "n".repeat(63), "u".repeat(128)));
    assert_eq!(decode::<Monthly>(sound.encode().as_bytes()).blocks(), [sound]);
}

#[test]
fn faulty_lines_are_named_in_their_own_block_after_lines_without_a_seal() {
    let mut blocks = [bucket(13, 443..445), bucket(14, 443..446), bucket(15, 443..444)];
    let texts = [blocks[0].encode(), blocks[1].encode(), blocks[2].encode()];
    let unsealed: String = texts[0].split_inclusive('\n').take(2).collect();
    // The first and the last of its three lines.
    let faulty: String = texts[1]
        .split_inclusive('\n')
        .enumerate()
        .map(|(index, line)| if index == 0 || index == 2 { "?\n" } else { line })
        .collect();
    let outcome = decode::<Hourly>((unsealed.clone() + &faulty + &texts[2]).as_bytes());
    let [first, second] = &outcome.damages[..] else { panic!("{:?}", outcome.damages) };
    assert!(matches!(first.fault, Fault::Unsealed), "{first:?}");
    assert_eq!((first.line, first.lines, first.bytes.clone()), (1, 2, 0..unsealed.len() as u64));
    assert!(matches!(second.fault, Fault::NotJson(_)), "{second:?}");
    // Three lines and their seal, from the third line on.
    let end = (unsealed.len() + faulty.len()) as u64;
    assert_eq!((second.line, second.lines, second.bytes.clone()), (3, 4, unsealed.len() as u64..end));
    // The second fault is not held against the block after it, which begins after 2 + 4 lines.
    assert_eq!(outcome.blocks(), blocks[2..]);
    assert_eq!(outcome.found[0].line, 7);
}

#[test]
fn seals_on_one_line_are_told_apart() {
    // The newline after a seal became another byte, and the next bucket has no lines: two seals on one line.
    let mut blocks = [bucket(13, 443..445), bucket(14, 0..0), bucket(15, 443..444)];
    let texts = [blocks[0].encode(), blocks[1].encode(), blocks[2].encode()];
    let ends = [texts[0].len(), texts[0].len() + texts[1].len(), texts.concat().len()].map(|end| end as u64);
    let mut bytes = texts.concat().into_bytes();
    bytes[texts[0].len() - 1] = b'J';
    let outcome = decode::<Hourly>(&bytes);
    assert!(outcome.damages.is_empty(), "{:?}", outcome.damages);
    assert_eq!(outcome.blocks(), blocks);
    // The first has two lines; its seal and the next one share line 3.
    assert_eq!(outcome.found.iter().map(|found| found.line).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(outcome.found[1].bytes, ends[0]..ends[1]);
    assert_eq!(outcome.found[2].bytes, ends[1]..ends[2]);
}

#[test]
fn lines_of_just_the_bytes_of_a_block_are_kept() {
    let line = |bytes: usize| {
        let begin = str::from_utf8(Daily::BEGIN).unwrap();
        format!("{begin}{}\n", "x".repeat(bytes - begin.len() - 1))
    };
    let mut decoder = Decoder::<Daily>::new();
    for _ in 0..Daily::MAX_BYTES / MAX_LINE_BYTES {
        assert!(decoder.feed(line(MAX_LINE_BYTES).as_bytes()).is_empty());
    }
    assert_eq!(decoder.waiting.bytes().len(), Daily::MAX_BYTES);
    let events = decoder.feed(line(100).as_bytes());
    let [BlockEvent::Damage(damage)] = &events[..] else { panic!("{events:?}") };
    assert!(matches!(damage.fault, Fault::TooLong { limit: Daily::MAX_BYTES }));
    assert_eq!(damage.bytes, 0..Daily::MAX_BYTES as u64);
}

#[test]
fn the_fast_way_reads_plain_lines_and_none_with_anything_missing_or_after_the_end() {
    let mut hour = bucket(13, 443..444);
    let mut daily = day(5, 1);
    daily.lines[0] = DayLine::new(daily.seal.day, 443, Some("acct-443".into()), eight(0));
    let (hours, days) = (hour.encode(), daily.encode());
    let (hour_line, day_line) = (hours.split_once('\n').unwrap().0, days.split_once('\n').unwrap().0);
    let hourly = |line: &str| Hourly::scanner(&hour.seal)(line.as_bytes());
    let of_day = |line: &str| Daily::scanner(&daily.seal)(line.as_bytes());
    assert_eq!(hourly(&format!("{hour_line}\n")).as_ref(), Some(&hour.lines[0]));
    // Its first counter is 0, one digit long.
    assert_eq!(of_day(&format!("{day_line}\n")).as_ref(), Some(&daily.lines[0]));
    for after in ["", "x\n", "\n\n", "}\n", ",\n"] {
        assert_eq!(hourly(&format!("{hour_line}{after}")), None, "{after:?}");
        assert_eq!(of_day(&format!("{day_line}{after}")), None, "{after:?}");
    }
    for (from, to) in [
        ("\"port\":443", "\"port\":"),
        ("\"port\":443", "\"port\":0443"),
        ("\"tcp_in_bytes\":0", "\"tcp_in_bytes\":"),
        ("\"tcp_in_bytes\":0", "\"tcp_in_bytes\":00"),
        ("acct-443\"", "acct-443"),
        ("acct-443\"", "acct\\u002d443\""),
    ] {
        assert!(day_line.contains(from), "{from}");
        assert_eq!(of_day(&format!("{}\n", day_line.replace(from, to))), None, "{to}");
    }
}

proptest! {
    #[test]
    fn the_fast_way_reads_what_the_parser_reads(
        numbers in prop::array::uniform8(prop_oneof![any::<u64>(), 0..20_u64, Just(u64::MAX)]),
        total in prop::option::of(prop::array::uniform8(any::<u64>())),
        port: u16,
        user in prop::option::of("[a-z\"\\\\/é张 .-]{1,12}"),
        closed: bool,
    ) {
        let mut block = bucket(13, 0..0);
        let (start, end) = (block.seal.start, block.seal.end);
        block.lines = vec![HourLine::new(start, end, port, user.clone(), Counters::from_array(numbers), total, closed)];
        let text = block.encode();
        let line = text.split_inclusive('\n').next().unwrap().as_bytes();
        let parsed: HourLine = serde_json::from_slice(line).unwrap();
        prop_assert_eq!(&parsed, &block.lines[0]);
        let escaped = user.is_some_and(|user| user.contains(['"', '\\']));
        match Hourly::scanner(&block.seal)(line) {
            Some(scanned) => prop_assert_eq!(scanned, parsed),
            None => prop_assert!(escaped, "left to the parser without need"),
        }
    }

    #[test]
    fn the_fast_way_takes_nothing_that_the_parser_refuses(
        index in 0..1_000_usize, with: u8, remove in 0..3_usize, port: u16,
    ) {
        let mut block = day(5, 0);
        block.lines = vec![DayLine::new(block.seal.day, port, Some("ab".into()), eight(9))];
        let text = block.encode();
        let mut line = text.split_inclusive('\n').next().unwrap().as_bytes().to_vec();
        let index = index % line.len();
        line.splice(index..(index + remove).min(line.len()), [with]);
        if let Some(scanned) = Daily::scanner(&block.seal)(&line) {
            let parsed: DayLine = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(scanned, parsed);
        }
    }

    #[test]
    fn garbage_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk in 1..50_usize) {
        let mut good = bucket(13, 443..445);
        let mut text = bytes;
        text.push(b'\n');
        text.extend(good.encode().bytes());
        let outcome = decode_in::<Hourly>(&text, chunk);
        prop_assert_eq!(outcome.blocks(), vec![good]);
    }
}

#[test]
fn the_largest_block_of_a_node_with_every_port_is_one_that_its_reader_takes() {
    // Every character of a name may need a backslash, and every number may have all its digits: up to 2^64 in hours,
    // 2^57 in days.
    let user = Some("\"".repeat(128));
    let (hours, days) = (Counters::from_array([u64::MAX; 8]), Counters::from_array([1 << 57; 8]));
    let ports = 65_535;
    let mut hour = bucket(13, 0..0);
    let (start, end) = (hour.seal.start, hour.seal.end);
    hour.lines = vec![HourLine::new(start, end, u16::MAX, user.clone(), hours, Some([u64::MAX; 8]), true)];
    let line = hour.encode().lines().next().unwrap().len() + 1;
    assert!(line * ports <= Hourly::MAX_BYTES, "{line}");
    let mut day = day(5, 0);
    day.lines = vec![DayLine::new(day.seal.day, u16::MAX, user, days)];
    let line = day.encode().lines().next().unwrap().len() + 1;
    assert!(line * ports <= Daily::MAX_BYTES, "{line}");
    assert!(ports < MAX_LINES);
}

#[test]
fn what_is_written_has_the_limits_of_what_is_read() {
    let lines = |count: usize, bytes: usize| ("x".repeat(bytes - 1) + "\n").repeat(count) + "seal\n";
    assert_eq!(check_size::<Daily>(&lines(MAX_LINES, 2)), Ok(()));
    assert_eq!(check_size::<Daily>(&lines(MAX_LINES + 1, 2)), Err(TooLarge::Lines { found: MAX_LINES + 1 }));
    assert_eq!(check_size::<Daily>(&lines(1, MAX_LINE_BYTES)), Ok(()));
    assert_eq!(check_size::<Daily>(&lines(1, MAX_LINE_BYTES + 1)), Err(TooLarge::Line { found: MAX_LINE_BYTES + 1 }));
    let limit = Daily::MAX_BYTES;
    assert_eq!(check_size::<Daily>(&lines(limit / 1_024, 1_024)), Ok(()));
    let found = limit + 1_024;
    assert_eq!(check_size::<Daily>(&lines(found / 1_024, 1_024)), Err(TooLarge::Bytes { found, limit }));
}
