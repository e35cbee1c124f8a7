use super::*;
use crate::testing::fixtures::day_seal;

#[test]
fn a_day_gives_way_only_to_one_that_is_no_loss() {
    let (full, half) = (day_seal("2026-10-05", 86_400), day_seal("2026-10-05", 43_200));
    let fewer = Some(KeepReason::CoversMore { before: 86_400, now: 43_200 });
    let cases = [
        (None, &half, true, false, None),
        (None, &half, false, false, None),
        (Some(&half), &full, true, false, None),
        (Some(&full), &full, true, false, None),
        (Some(&full), &half, true, false, fewer),
        (Some(&full), &half, true, true, None),
        (Some(&full), &full, false, false, Some(KeepReason::HourlyGone)),
        (Some(&full), &half, false, true, Some(KeepReason::HourlyGone)),
    ];
    for (before, now, hourly_is_there, force, expected) in cases {
        assert_eq!(reason_to_keep(before, now, hourly_is_there, force), expected, "{before:?} {now:?} {force}");
    }
    // Nothing of this day came from a file of its own.
    let late = DaySeal { buckets_sealed: 0, ..full };
    assert_eq!(reason_to_keep(Some(&late), &late, false, false), None);
}

#[test]
fn a_day_with_more_buckets_replaces_one_that_covers_more_and_never_the_other_way_round() {
    use crate::ledger::record::Quality;

    let of = |zone: &str, seconds: u32, exact: u32, imported: u32| DaySeal {
        zone: zone.into(),
        buckets_sealed: exact + imported,
        quality: [(Quality::Exact, exact), (Quality::Import, imported)].into(),
        ..day_seal("2026-10-05", seconds)
    };
    let (east, west) = ("Asia/Shanghai", "UTC");
    let fewer = |before, now| Some(KeepReason::HasMoreBuckets { before, now });
    for (what, before, now, expected) in [
        // The zone was changed at 02:00 on the 6th, and the file of the 5th got six more buckets.
        ("another zone, more buckets", of(east, 86_400, 24, 0), of(west, 79_200, 30, 0), None),
        ("another zone, fewer buckets", of(east, 79_200, 24, 0), of(west, 86_400, 23, 0), fewer(24, 23)),
        ("more buckets and a gap", of(east, 86_400, 24, 0), of(east, 82_800, 25, 0), None),
        ("an import where the hours are gone", of(east, 86_400, 24, 0), of(east, 86_400, 0, 24), fewer(24, 0)),
        ("an import into a gap", of(east, 82_800, 23, 0), of(east, 86_400, 23, 1), None),
        ("two lost buckets replaced by one", of(east, 86_400, 24, 0), of(east, 86_400, 23, 0), None),
    ] {
        assert_eq!(reason_to_keep(Some(&before), &now, true, false), expected, "{what}");
        assert_eq!(reason_to_keep(Some(&before), &now, true, true), None, "{what}, forced");
    }
}
