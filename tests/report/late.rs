//! What nodes change after a month was closed. The node is this machine, so neither root nor ssh is needed.

use chrono::{Days, NaiveDate};

use crate::alone::Alone;
use crate::days::{Month, line, moved, put, sealed};

/// A month in which port 443 received 100 bytes on every day, except on those of `others`.
fn put_month(alone: &Alone, month: &Month, others: &[(NaiveDate, u64)]) {
    let bytes = |day: NaiveDate| others.iter().find(|(other, _)| *other == day).map_or(100, |(_, bytes)| *bytes);
    let text: String =
        month.days().map(|day| sealed("alone", day, &[line(day, &moved(443, None, [bytes(day), 0, 0, 0]))])).collect();
    put(&alone.state_dir(), month, &text);
}

#[test]
fn bytes_that_reach_a_closed_month_are_named_until_it_is_reported_again() {
    let alone = Alone::new("smtp+insecure://127.0.0.1:1", "");
    let last = alone.month.first - Days::new(1);
    let before = Month { first: alone.month.first - Days::new(u64::from(chrono::Datelike::day(&last))) };
    let of = |month: &Month| ["--no-mail".to_owned(), "--month".to_owned(), month.name()];
    let report = |month: &Month| alone.report(&of(month).each_ref().map(String::as_str));
    put_month(&alone, &before, &[]);
    put_month(&alone, &alone.month, &[]);
    report(&before).with_code(0);
    report(&alone.month).with_code(0);

    // No agent ran around the end of the month, and one bucket covers that time.
    put_month(&alone, &before, &[(last, 9_000_100)]);
    put_month(&alone, &alone.month, &[]);
    for _ in 0..2 {
        let named = report(&alone.month).with_code(6).stdout;
        assert!(named.contains("9000000 bytes more") && named.contains(&before.name()), "{named}");
    }
    report(&before).with_code(0);
    report(&alone.month).with_code(0);
}

#[test]
fn a_day_that_loses_bytes_is_named() {
    let alone = Alone::new("smtp+insecure://127.0.0.1:1", "");
    put_month(&alone, &alone.month, &[]);
    let report = || alone.report(&["--no-mail", "--month", &alone.month.name()]);
    report().with_code(0);
    put_month(&alone, &alone.month, &[(alone.month.first, 30)]);
    let named = report().with_code(6).stdout;
    assert!(named.contains("70 bytes fewer"), "{named}");
    report().with_code(0);
}
