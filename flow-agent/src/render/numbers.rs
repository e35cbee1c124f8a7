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

/// A part in percent with `decimals` digits, rounded down, so that only the whole is shown as 100 %.
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

/// `1,281.57 CNY`; in Chinese letters `¥1,281.57`.
pub(super) fn money(language: Language, money: &Money) -> String {
    let text = money.amount.abs().to_string();
    let (units, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    // A decimal has at most 29 digits.
    let units = units.parse().map_or_else(|_| units.to_owned(), grouped);
    let sign = if money.amount.is_sign_negative() && !money.amount.is_zero() { "-" } else { "" };
    match (language, money.currency.as_str()) {
        (Language::Chinese, "CNY") => format!("¥{sign}{units}{rest}"),
        (Language::Chinese | Language::English, currency) => format!("{sign}{units}{rest} {currency}"),
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
mod tests;
