//! What holds for the import of the legacy scripts' logs on every text. The fuzzer looks for one that breaks it, and the test of
//! the corpus looks at every text that was ever of interest.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use flow_agent::ledger::block::{BlockEvent, Decoder, Hourly};
use flow_agent::ledger::legacy::Import;

/// Panics where a law is broken.
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
        // In order, without overlaps, each port once.
        assert!(bucket.seal.start < bucket.seal.end);
        assert!(end.is_none_or(|end| end <= bucket.seal.start), "{:?}", bucket.seal);
        end = Some(bucket.seal.end);
        let ports: BTreeSet<u16> = bucket.lines.iter().map(|line| line.port).collect();
        assert_eq!(ports.len(), bucket.lines.len());
        assert!(!ports.contains(&0));
        bytes += bucket.lines.iter().map(|line| u128::from(line.counters().bytes())).sum::<u128>();
        // The log takes it.
        let events = Decoder::<Hourly>::new().feed(bucket.encode().as_bytes());
        assert!(matches!(&events[..], [BlockEvent::Block(_)]), "{events:?}");
    }
    // No more is imported than all the numbers in the text together.
    let digits =
        |word: &str| word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse::<u64>().ok()).flatten();
    let stated: u128 = text.split_whitespace().filter_map(digits).map(u128::from).sum();
    assert!(bytes <= stated, "{bytes} of {stated}");
}
