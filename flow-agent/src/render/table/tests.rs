//! The look of the tables.

use std::collections::BTreeMap;

use super::*;
use crate::ledger::amount::{Prefixes, RateUnit, Units};
use crate::ledger::counters::Counters;
use crate::ledger::record::Quality;
use crate::render::figures::{FigureKind, HourRow, Sums, csv, csv_header, json};

const LOOK: ScreenStyle = ScreenStyle {
    width: 80,
    unicode: true,
    color: false,
    units: Units { prefixes: Prefixes::Iec, rates: RateUnit::Bits },
    is_piped: false,
};

fn at(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

fn sums(numbers: [u64; 8]) -> Sums {
    Counters::from_array(numbers).into()
}

/// 1 GiB in and 2.5 GiB out by TCP, 512 B in by UDP.
const SOME: [u64; 8] = [1 << 30, 700_000, 5 << 29, 900_000, 512, 4, 0, 0];

fn hour(start: &str, end: &str, port: u16, user: Option<&str>, numbers: [u64; 8]) -> HourRow {
    let (start, end, user) = (at(start), at(end), user.map(str::to_owned));
    HourRow {
        kind: FigureKind::Hour,
        start,
        end,
        port,
        user,
        sums: sums(numbers),
        quality: Some(Quality::Exact),
        open: false,
    }
}

fn rows() -> Vec<HourRow> {
    let mut open = hour("2026-10-05T14:00:00+08:00", "2026-10-05T14:23:30+08:00", 443, None, [0; 8]);
    (open.quality, open.open) = (None, true);
    let mut late =
        hour("2026-10-05T23:00:00+08:00", "2026-10-06T00:00:00+08:00", 443, None, [u64::MAX, 0, 0, 0, 0, 0, 0, 0]);
    late.quality = Some(Quality::Late);
    vec![
        hour("2026-10-05T13:00:00+08:00", "2026-10-05T14:00:00+08:00", 8388, Some("acct-8388"), SOME),
        late,
        hour("2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", 8388, Some("张三"), SOME),
        open,
    ]
}

#[test]
fn who_moved_most_is_a_table() {
    let row = |rank, user: Option<&str>, numbers| TopRow {
        kind: FigureKind::Top,
        rank,
        user: user.map(str::to_owned),
        ports: vec![443, 444],
        sums: sums(numbers),
    };
    let rows = [row(1, Some("one"), SOME), row(2, None, [1 << 20, 1, 0, 0, 0, 0, 0, 0])];
    let all = rows.iter().map(|row| row.sums.bytes).sum();
    insta::assert_snapshot!(top(&rows, all, &LOOK));
    insta::assert_snapshot!(top(&[row(1, None, [0; 8])], 0, &LOOK));
}

fn everything() -> TotalRow {
    TotalRow {
        blocked: Flow { in_bytes: 3 << 20, in_packets: 2_200, ..Flow::default() },
        kind: FigureKind::Total,
        start: Some(at("2026-10-05T00:00:00+08:00")),
        end: Some(at("2026-10-05T14:23:30+08:00")),
        sums: sums(SOME),
        ports: 12,
        other: Others {
            other_ports: Flow { in_bytes: 1_000, in_packets: 10, out_bytes: 500, out_packets: 5 },
            unparsed: Flow { in_bytes: 60, in_packets: 1, out_bytes: 0, out_packets: 0 },
            ..Others::default()
        },
        reconciliation: Some(Reconciliation {
            incoming: Compared { cells_bytes: 1 << 30, devices_bytes: (1 << 30) + 1_000 },
            outgoing: Compared { cells_bytes: 5 << 29, devices_bytes: 5 << 29 },
        }),
        quality: BTreeMap::from([(Quality::Exact, 13), (Quality::Gap, 1)]),
        open: true,
        damages: 2,
    }
}

#[test]
fn the_total_shows_what_belongs_to_nobody() {
    insta::assert_snapshot!(total(&everything(), &LOOK));
    insta::assert_snapshot!(total(&TotalRow::default(), &LOOK));
}

#[test]
fn json_and_csv_keep_every_digit() {
    let mut text = rows().iter().map(json).collect::<String>();
    text += &json(&everything());
    text += &csv_header::<HourRow>();
    text.extend(rows().iter().map(csv));
    // A name that needs quoting is quoted.
    let mut quoted = rows().remove(0);
    quoted.user = Some("a \"b\", c".to_owned());
    text += &csv(&quoted);
    insta::assert_snapshot!(text);
}
