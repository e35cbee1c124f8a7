use super::*;

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

fn names(reported: &[&str], last_complete: &str) -> Vec<String> {
    let reported = reported.iter().map(|text| month(text)).collect();
    months(&reported, month(last_complete)).iter().map(ToString::to_string).collect()
}

#[test]
fn every_month_since_the_first_one_reported_is_looked_at() {
    assert_eq!(names(&[], "2026-10"), ["2026-10"], "a new main node");
    assert_eq!(names(&["2026-09"], "2026-10"), ["2026-09", "2026-10"]);
    assert_eq!(names(&["2026-10"], "2026-10"), ["2026-10"]);
    // The main node was down from August on, and has also reported a month by hand that is not over.
    assert_eq!(names(&["2026-07", "2026-11"], "2026-10"), ["2026-07", "2026-08", "2026-09", "2026-10"]);
    assert_eq!(names(&["2026-01", "2026-03"], "2026-04"), ["2026-01", "2026-02", "2026-03", "2026-04"]);
    // A month that was reported by hand, long ago.
    assert_eq!(names(&["2024-01"], "2026-10"), ["2026-10"]);
    assert_eq!(names(&["2025-11"], "2026-10").len(), 12);
}
