use super::*;

#[test]
fn only_a_date_of_a_year_of_four_digits_is_one() {
    assert_eq!(parse("2026-10-05"), NaiveDate::from_ymd_opt(2026, 10, 5));
    assert_eq!(parse("0001-01-01"), NaiveDate::from_ymd_opt(1, 1, 1));
    assert_eq!(parse("9998-12-31"), NaiveDate::from_ymd_opt(9_998, 12, 31));
    for text in [
        "2026-10-5",
        "2026-02-30",
        "+2026-10-05",
        " 2026-10-05",
        "0000-12-31",
        "9999-01-01",
        "-0001-01-01",
        "+10000-01-01",
        "+262142-12-31",
        "-262143-01-01",
        "",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}
