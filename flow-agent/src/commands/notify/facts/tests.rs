use super::*;

fn config() -> Config {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"node = \"hk-1\"\ntimezone = \"UTC\"\n").unwrap();
    crate::config::load(Some(file.path()), None).unwrap()
}

fn gap(start: &str, end: &str, interface: &str) -> Gap {
    let at = |text: &str| DateTime::parse_from_rfc3339(&format!("2026-10-{text}Z")).unwrap();
    Gap { start: at(start), end: at(end), interface: interface.to_owned(), why: "down".to_owned() }
}

#[test]
fn each_second_of_a_gap_counts_once_and_old_gaps_are_no_news() {
    let gaps = [
        gap("03T10:00:00", "03T11:00:00", "eth0"),
        gap("04T10:00:00", "04T10:01:40", "eth0"),
        gap("04T10:00:00", "04T10:01:40", "eth1"),
        gap("04T10:01:00", "04T10:02:00", "eth2"),
        gap("05T10:00:00", "05T10:00:07", "eth0"),
    ];
    let today = NaiveDate::from_ymd_opt(2026, 10, 5).unwrap();
    let days: Vec<_> = gaps_by_day(&config(), &gaps, today).into_iter().map(|(day, s, _)| (day, s)).collect();
    assert_eq!(days, [(today - Days::new(1), 120), (today, 7)]);
}

#[test]
fn gaps_reach_a_level_at_ten_minutes_an_hour_and_six_hours() {
    let levels = [1, 599, 600, 3_599, 3_600, 21_599, 21_600, 86_400].map(gap_level);
    assert_eq!(levels, [None, None, Some(10), Some(10), Some(60), Some(60), Some(360), Some(360)]);
}

#[test]
fn hours_that_clickhouse_does_not_acknowledge_are_told_after_two_hours() {
    let root = tempfile::tempdir().unwrap();
    let state = StateDir::new(root.path());
    let text = format!(
        "node = \"hk-1\"\ntimezone = \"UTC\"\nstate_dir = {:?}\n[fleet]\nurl = \"http://127.0.0.1:8123\"\n",
        root.path()
    );
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    let config = crate::config::load(Some(file.path()), None).unwrap();
    let at = |text: &str| DateTime::parse_from_rfc3339(&format!("2026-10-05T{text}:00Z")).unwrap();
    let told = |time: &str| unshipped(&config, at(time).to_utc()).map(|notice| notice.facts);

    state.create_dir(&state.hourly_dir()).unwrap();
    let log = state.hourly(NaiveDate::from_ymd_opt(2026, 10, 5).unwrap());
    state.disk().create(&log).unwrap();
    assert_eq!(told("12:00"), None, "`ship` was never started");
    let lock = state.lock_ship().unwrap();
    assert_eq!(told("12:00"), Some(NoticeFacts::Ship { newest: None }), "nothing has ever arrived");
    let newest = Some(at("10:00"));
    ship::write(&lock, &ship::ShipState { newest, ..ship::ShipState::default() }).unwrap();
    assert_eq!(told("11:59"), None);
    assert_eq!(told("12:01"), Some(NoticeFacts::Ship { newest }));
    // Everything was acknowledged, and no agent seals anything new, so there is nothing to send.
    let day = NaiveDate::from_ymd_opt(2026, 10, 5).unwrap();
    let complete = ship::versions(&state, day).unwrap();
    let files = BTreeMap::from([(day, ship::ShippedFile { complete, ..ship::ShippedFile::default() })]);
    ship::write(&lock, &ship::ShipState { newest, files, ..ship::ShipState::default() }).unwrap();
    assert_eq!(told("23:00"), None);
}
