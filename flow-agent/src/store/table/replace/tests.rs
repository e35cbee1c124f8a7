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
