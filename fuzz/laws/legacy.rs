//! The laws that the import of the legacy scripts' logs obeys for every text. The fuzzer searches for a text that
//! breaks one, and a test checks all texts in the corpus.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use flow_agent::ledger::block::{BlockEvent, Decoder, Hourly};
use flow_agent::ledger::legacy::Import;

/// Checks the laws, and panics if one is broken.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for zone in [Tz::UTC, Tz::Asia__Kathmandu, Tz::Europe__Berlin] {
        hold_in(zone, &text);
    }
}

fn hold_in(zone: Tz, text: &str) {
    let mut import = Import::new(zone);
    for (number, line) in text.lines().enumerate() {
        import.take(line, number);
    }
    let imported = import.finish("hk-1");
    let mut bytes: u128 = 0;
    let mut end = None;
    for mut bucket in imported.buckets {
        // The buckets are in order and do not overlap, and each contains a port only once.
        assert!(bucket.seal.start < bucket.seal.end);
        assert!(end.is_none_or(|end| end <= bucket.seal.start), "{:?}", bucket.seal);
        end = Some(bucket.seal.end);
        let ports: BTreeSet<u16> = bucket.lines.iter().map(|line| line.port).collect();
        assert_eq!(ports.len(), bucket.lines.len());
        assert!(!ports.contains(&0));
        bytes += bucket.lines.iter().map(|line| u128::from(line.counters().bytes())).sum::<u128>();
        // The bucket is valid in the hourly log.
        let events = Decoder::<Hourly>::new().feed(bucket.encode().as_bytes());
        assert!(matches!(&events[..], [BlockEvent::Block(_)]), "{events:?}");
    }
    // No more bytes are imported than all numbers in the text add up to.
    let digits =
        |word: &str| word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse::<u64>().ok()).flatten();
    let stated: u128 = text.split_whitespace().filter_map(digits).map(u128::from).sum();
    assert!(bytes <= stated, "{bytes} of {stated}");
}
