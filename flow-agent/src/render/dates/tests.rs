use super::*;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn a_month_is_called_as_people_call_it() {
    let (first, last) = (day("2026-10-01"), day("2026-10-31"));
    assert_eq!(period(Language::English, first, last), "October 2026");
    assert_eq!(period(Language::Chinese, first, last), "2026年10月");
    let (first, last) = (day("2026-12-15"), day("2027-01-14"));
    assert_eq!(period(Language::English, first, last), "15 December 2026 – 14 January 2027");
    assert_eq!(period(Language::Chinese, first, last), "2026年12月15日 – 2027年1月14日");
}

#[test]
fn an_interval_says_what_is_needed_to_find_it() {
    let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&chrono_tz::Europe::Paris);
    for (start, end, english, chinese) in [
        (
            "2026-10-05T13:21:00+02:00",
            "2026-10-05T13:33:00+02:00",
            ["5 Oct 13:21", "13:33"],
            ["10月5日 13:21", "13:33"],
        ),
        (
            "2026-10-05T23:00:30+02:00",
            "2026-10-06T01:00:00+02:00",
            ["5 Oct 23:00:30", "6 Oct 01:00:00"],
            ["10月5日 23:00:30", "10月6日 01:00:00"],
        ),
        // The clocks went back from 03:00 to 02:00 that night.
        (
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:30:00+01:00",
            ["25 Oct 02:30 +02:00", "02:30 +01:00"],
            ["10月25日 02:30 +02:00", "02:30 +01:00"],
        ),
    ] {
        let of = |language| <[String; 2]>::from(interval(language, at(start), at(end)));
        assert_eq!((of(Language::English), of(Language::Chinese)), (english.map(Into::into), chinese.map(Into::into)));
    }
}

#[test]
fn neighbouring_days_are_a_run() {
    let days = ["2026-10-03", "2026-10-04", "2026-10-05", "2026-10-09", "2026-10-31", "2026-11-01"].map(day);
    assert_eq!(runs(Language::English, &days), "3 to 5 Oct, 9 Oct, 31 Oct to 1 Nov");
    assert_eq!(runs(Language::Chinese, &days[..4]), "10月3日至5日、10月9日");
}
