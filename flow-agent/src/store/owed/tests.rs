use std::time::{Duration, SystemTime};

use super::*;

/// Later than anything in these tests.
const NOW: DateTime<Utc> = DateTime::<Utc>::MAX_UTC;

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Creates a file with `text` that was last written to at `modified_at`.
fn write(path: &Path, text: &str, modified_at: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    let seconds = u64::try_from(instant(modified_at).timestamp()).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

fn seal(day: &str, at: Option<&str>) -> String {
    let at = at.map(|at| format!(r#","at":"{at}""#)).unwrap_or_default();
    format!(
        "{{\"v\":1,\"kind\":\"day\",\"day\":\"{day}\",\"port\":443}}\n{{\"v\":1,\"kind\":\"seal\",\"day\":\"{day}\"{at}}}\n"
    )
}

#[test]
fn a_day_is_owed_until_it_was_sealed_after_its_end_and_after_its_last_bucket() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let zone = Tz::Asia__Shanghai;
    // Midnight in Shanghai is 16:00 UTC.
    let cases = [
        ("2026-10-01", Some("2026-10-02T00:00:01+08:00"), "2026-10-01T16:00:00Z", false),
        ("2026-10-03", Some("2026-10-03T23:59:59+08:00"), "2026-10-03T15:00:00Z", true),
        ("2026-10-05", Some("2026-10-06T00:00:01+08:00"), "2026-10-05T16:00:02Z", true),
        ("2026-10-07", Some("2026-10-08T00:00:00+08:00"), "2026-10-07T16:00:00Z", false),
        // Seals without a time, in a file that was written on 20 October at noon UTC.
        ("2026-10-09", None, "2026-10-09T16:00:00Z", false),
        ("2026-10-11", None, "2026-10-20T12:00:01Z", true),
        ("2026-10-16", None, "2026-10-20T12:00:00Z", false),
        ("2026-10-20", None, "2026-10-20T11:00:00Z", true),
    ];
    let text: String = cases.iter().map(|(day, at, ..)| seal(day, *at)).collect();
    write(&state.daily("2026-10".parse().unwrap()), &text, "2026-10-20T12:00:00Z");
    for (day, _, modified_at, _) in cases {
        write(&state.hourly(date(day)), "", modified_at);
    }
    write(&state.hourly(date("2026-10-13")), "", "2026-10-13T12:00:00Z");
    write(&state.hourly(date("2026-11-01")), "", "2026-11-01T12:00:00Z");
    // Nor has a compressed day a seal, so it was compressed by hand.
    write(&state.hourly_compressed(date("2026-10-18")), "", "2026-10-18T12:00:00Z");

    let expected = cases.iter().filter(|(.., owed)| *owed).map(|(day, ..)| date(day));
    let unsealed = ["2026-10-13", "2026-10-18", "2026-11-01"].map(date);
    assert_eq!(days(&state, zone, NOW).unwrap(), expected.chain(unsealed).collect());
}

#[test]
fn the_day_after_an_owed_day_is_owed_too_where_it_has_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let sealed = seal("2026-10-02", Some("2026-10-03T00:00:00Z"));
    write(&state.daily("2026-10".parse().unwrap()), &sealed, "2026-10-03T00:00:00Z");
    for day in ["2026-10-01", "2026-10-02"] {
        write(&state.hourly(date(day)), "", "2026-10-02T23:00:00Z");
    }
    assert_eq!(days(&state, Tz::UTC, NOW).unwrap(), [date("2026-10-01"), date("2026-10-02")].into());
}

#[test]
fn a_damaged_seal_is_no_seal_and_no_log_owes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    assert_eq!(days(&state, Tz::UTC, NOW).unwrap(), BTreeSet::new());
    write(&state.daily("2026-10".parse().unwrap()), "{\"v\":1,\"kind\":\"seal\",\"day\"", "2026-10-03T00:00:00Z");
    write(&state.hourly(date("2026-10-01")), "", "2026-10-01T12:00:00Z");
    assert_eq!(days(&state, Tz::UTC, NOW).unwrap(), [date("2026-10-01")].into());
}

#[test]
fn a_day_that_a_clock_sealed_ahead_of_time_and_the_newest_one_are_owed() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let text: String = [(1, 2), (2, 9), (3, 4)]
        .map(|(day, at)| seal(&format!("2026-10-0{day}"), Some(&format!("2026-10-0{at}T00:00:00Z"))))
        .concat();
    write(&state.daily("2026-10".parse().unwrap()), &text, "2026-10-03T00:00:00Z");
    for day in ["2026-10-01", "2026-10-02", "2026-10-03"] {
        write(&state.hourly(date(day)), "", &format!("{day}T20:00:00Z"));
    }
    let now = instant("2026-10-04T10:00:00Z");
    assert_eq!(days(&state, Tz::UTC, now).unwrap(), [date("2026-10-02"), date("2026-10-03")].into());
}

#[test]
fn a_compressed_day_is_owed_until_it_was_sealed_after_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let text: String = [(1, "2026-10-02T00:00:00Z"), (2, "2026-10-02T23:00:00Z"), (4, "2026-10-05T00:00:00Z")]
        .map(|(day, at)| seal(&format!("2026-10-0{day}"), Some(at)))
        .concat();
    write(&state.daily("2026-10".parse().unwrap()), &text, "2026-10-05T00:00:00Z");
    for day in ["2026-10-01", "2026-10-02", "2026-10-03"] {
        write(&state.hourly_compressed(date(day)), "", "2026-10-05T00:00:00Z");
    }
    write(&state.hourly(date("2026-10-06")), "", "2026-10-06T20:00:00Z");
    let owed = ["2026-10-02", "2026-10-03", "2026-10-06"].map(date);
    assert_eq!(days(&state, Tz::UTC, NOW).unwrap(), owed.into());
}
