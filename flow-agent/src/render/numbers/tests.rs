use super::*;

#[test]
fn thousands_are_kept_apart() {
    for (number, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(grouped(number), shown);
    }
    assert_eq!(grouped(u64::MAX.into()), "18,446,744,073,709,551,615");
}

#[test]
fn a_time_is_told_in_the_units_of_a_clock() {
    for (seconds, english, chinese) in [
        (0, "0 s", "0 秒"),
        (36_400, "10 h 6 min 40 s", "10 小时 6 分钟 40 秒"),
        (3_600, "1 h", "1 小时"),
        (2 * 86_400 + 61, "2 d 1 min 1 s", "2 天 1 分钟 1 秒"),
    ] {
        assert_eq!(duration(Language::English, seconds), english);
        assert_eq!(duration(Language::Chinese, seconds), chinese);
    }
}

#[test]
fn all_is_said_only_of_all() {
    for (part, whole, shown) in [
        (100, 100, "100 %"),
        (2_678_399, 2_678_400, "99.99 %"),
        (0, 100, "0 %"),
        (1, 3, "33.33 %"),
        (1, 2, "50 %"),
        (1, 100_000, "0.00 %"),
        (30, 2, "1,500 %"),
        (0, 0, "0 %"),
    ] {
        assert_eq!(percent(part, whole, 2), shown, "{part} of {whole}");
    }
}

#[test]
fn a_change_has_its_sign() {
    assert_eq!(change(1_000, 1_123).as_deref(), Some("+12.3 %"));
    assert_eq!(change(1_000, 960).as_deref(), Some("−4.0 %"));
    assert_eq!(change(1_000, 1_000).as_deref(), Some("+0.0 %"));
    assert_eq!(change(3, 4).as_deref(), Some("+33.3 %"));
    assert_eq!(change(0, 5), None);
}

#[test]
fn neighbouring_ports_are_a_range() {
    assert_eq!(ports(&[443, 8000, 8001, 8002, 9000, 9001]), "443, 8000-8002, 9000, 9001");
    assert_eq!(ports(&[65_534, 65_535]), "65534, 65535");
    assert_eq!(ports(&[]), "");
}

#[test]
fn an_amount_has_its_thousands_kept_apart() {
    for (text, english, chinese) in [
        ("0.35", "0.35 CNY", "¥0.35"),
        ("1234567.80", "1,234,567.80 CNY", "¥1,234,567.80"),
        ("-1000", "-1,000 CNY", "¥-1,000"),
    ] {
        let amount = Money { amount: text.parse().unwrap(), currency: "CNY".to_owned() };
        assert_eq!(money(Language::English, &amount), english);
        assert_eq!(money(Language::Chinese, &amount), chinese);
    }
}
