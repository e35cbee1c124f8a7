//! Formats figures for people.

use std::fmt::Write as _;

use crate::ledger::billing::Money;
use crate::ledger::language::Language;

/// `1,234,567`
pub(super) fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole in percent with `decimals` digits, rounded down, so that only a whole is shown as 100 %.
pub(super) fn percent(part: u64, whole: u64, decimals: u32) -> String {
    if whole == 0 {
        return if part == 0 { "0 %".to_owned() } else { "∞ %".to_owned() };
    }
    let scale = 10_u128.pow(decimals);
    let scaled = u128::from(part) * 100 * scale / u128::from(whole);
    let (units, rest) = (scaled / scale, scaled % scale);
    if rest == 0 && u128::from(part) * 100 % u128::from(whole) == 0 {
        return format!("{} %", grouped(units));
    }
    let mut text = grouped(units);
    let digits = decimals as usize;
    write!(text, ".{rest:0digits$} %").expect("writing to a String cannot fail");
    text
}

/// The change in percent with one decimal: `+12.3 %`, `−4.0 %`; `None` if `before` is zero.
pub(super) fn change(before: u64, after: u64) -> Option<String> {
    if before == 0 {
        return None;
    }
    let (more, sign) = if after >= before { (after - before, '+') } else { (before - after, '−') };
    let tenths = (u128::from(more) * 2_000 / u128::from(before)).div_ceil(2);
    Some(format!("{sign}{}.{} %", grouped(tenths / 10), tenths % 10))
}

/// `10 h 6 min 40 s`; the largest unit is the day.
pub(super) fn duration(language: Language, seconds: u64) -> String {
    let units = match language {
        Language::English => ["d", "h", "min", "s"],
        Language::Chinese => ["天", "小时", "分钟", "秒"],
    };
    let parts = [seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60];
    let parts = parts.into_iter().zip(units).filter(|(number, _)| *number > 0);
    let text = parts.map(|(number, unit)| format!("{number} {unit}")).collect::<Vec<_>>().join(" ");
    if text.is_empty() { format!("0 {}", units[3]) } else { text }
}

/// `81.57 CNY`; in Chinese letters `¥81.57`.
pub(super) fn money(language: Language, money: &Money) -> String {
    match (language, money.currency.as_str()) {
        (Language::Chinese, "CNY") => format!("¥{}", money.amount),
        (Language::Chinese | Language::English, currency) => format!("{} {currency}", money.amount),
    }
}

/// The number of columns that a text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// `443, 8000-8100`
pub(super) fn ports(ports: &[u16]) -> String {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*port) => *last = *port,
            Some(_) | None => runs.push((*port, *port)),
        }
    }
    let run = |(first, last): &(u16, u16)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}-{last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
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
}
