use super::*;

fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap()
}

#[test]
fn a_month_may_begin_on_any_day_that_every_month_has() {
    let october: Month = "2026-10".parse().unwrap();
    assert_eq!((october.first_day(1), october.last_day(1)), (day(2026, 10, 1), day(2026, 10, 31)));
    assert_eq!((october.first_day(15), october.last_day(15)), (day(2026, 10, 15), day(2026, 11, 14)));
    let february: Month = "2028-02".parse().unwrap();
    assert_eq!(february.last_day(1), day(2028, 2, 29));
    assert_eq!((february.first_day(28), february.last_day(28)), (day(2028, 2, 28), day(2028, 3, 27)));
    assert_eq!("2026-12".parse::<Month>().unwrap().last_day(2), day(2027, 1, 1));
}

#[test]
fn every_day_is_in_the_one_month_that_has_it() {
    for start_day in 1..=28 {
        let mut month: Month = "2027-11".parse().unwrap();
        for _ in 0..6 {
            for date in month.days(start_day) {
                assert_eq!(Month::containing(date, start_day), month, "{date} from day {start_day}");
            }
            assert_eq!(month.last_day(start_day) + Days::new(1), month.next().first_day(start_day));
            month = month.next();
        }
    }
}

#[test]
fn the_last_complete_month_is_over() {
    assert_eq!(Month::last_complete(day(2026, 11, 1), 1).to_string(), "2026-10");
    assert_eq!(Month::last_complete(day(2026, 10, 31), 1).to_string(), "2026-09");
    assert_eq!(Month::last_complete(day(2026, 11, 14), 15).to_string(), "2026-09");
    assert_eq!(Month::last_complete(day(2026, 11, 15), 15).to_string(), "2026-10");
    assert_eq!(Month::last_complete(day(2027, 1, 1), 1).to_string(), "2026-12");
}

#[test]
fn a_month_lies_in_one_or_two_daily_files() {
    let december: Month = "2026-12".parse().unwrap();
    let names = |start_day| december.calendar_months(start_day).map(|m| m.to_string()).collect::<Vec<_>>();
    assert_eq!(names(1), ["2026-12"]);
    assert_eq!(names(2), ["2026-12", "2027-01"]);
}

#[test]
fn only_a_months_name_is_one() {
    for text in ["2026-1", "2026-13", "2026-00", "26-10", "2026/10", "2026-10-05", "+026-10", "", "0000-01"] {
        assert!(text.parse::<Month>().is_err(), "{text}");
    }
    assert_eq!(serde_json::to_string(&Month::new(2026, 1).unwrap()).unwrap(), r#""2026-01""#);
    assert_eq!(serde_json::from_str::<Month>(r#""2026-01""#).unwrap(), Month::new(2026, 1).unwrap());
}
