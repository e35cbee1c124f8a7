//! A fast writer of lines, the counterpart of [`scan`](super::scan): what the lines of a block have in common is formatted
//! once. The text is the same as that of the JSON serializer.

use super::scan::{begin_of_day, begin_of_hour};
use crate::ledger::counters::Counters;
use crate::ledger::record::{DayLine, DaySeal, HourLine, HourSeal, Kind, VERSION};

/// Appends a line without its newline, and returns whether it did: a line that does not belong under the seal is left to
/// the JSON serializer.
pub type Printer<Line> = Box<dyn Fn(&Line, &mut String) -> bool>;

/// Writes the hour lines under `seal`.
pub(super) fn hour(seal: &HourSeal) -> Printer<HourLine> {
    let (begin, start, end) = (begin_of_hour(seal), seal.start, seal.end);
    Box::new(move |line, text| {
        // Two instants are equal whatever their offsets are, and the offset is part of the text.
        let offsets = (line.start.offset(), line.end.offset());
        let is_of_seal = (line.start, line.end) == (start, end) && offsets == (start.offset(), end.offset());
        if (line.v, line.kind) != (VERSION, Kind::Hour) || !is_of_seal {
            return false;
        }
        text.push_str(&begin);
        counted(text, line.port, line.user.as_deref(), line.counters());
        if let Some(total) = line.total {
            text.push_str(",\"total\":[");
            for (index, total) in total.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                number(text, total);
            }
            text.push(']');
        }
        text.push_str(if line.closed { ",\"closed\":true}" } else { "}" });
        true
    })
}

/// Writes the day lines under `seal`.
pub(super) fn day(seal: &DaySeal) -> Printer<DayLine> {
    let (begin, day) = (begin_of_day(seal), seal.day);
    Box::new(move |line, text| {
        if (line.v, line.kind, line.day) != (VERSION, Kind::Day, day) {
            return false;
        }
        text.push_str(&begin);
        counted(text, line.port, line.user.as_deref(), line.counters());
        text.push('}');
        true
    })
}

/// The port, the user where there is one, and the eight numbers.
fn counted(text: &mut String, port: u16, user: Option<&str>, counters: Counters) {
    number(text, port.into());
    if let Some(user) = user {
        text.push_str(",\"user\":");
        text.push_str(&serde_json::to_string(user).expect("text can always be written as JSON"));
    }
    let numbers = [
        (",\"tcp_in_bytes\":", counters.tcp_in_bytes),
        (",\"tcp_in_packets\":", counters.tcp_in_packets),
        (",\"tcp_out_bytes\":", counters.tcp_out_bytes),
        (",\"tcp_out_packets\":", counters.tcp_out_packets),
        (",\"udp_in_bytes\":", counters.udp_in_bytes),
        (",\"udp_in_packets\":", counters.udp_in_packets),
        (",\"udp_out_bytes\":", counters.udp_out_bytes),
        (",\"udp_out_packets\":", counters.udp_out_packets),
    ];
    for (name, value) in numbers {
        text.push_str(name);
        number(text, value);
    }
}

/// Appends a number in decimal.
fn number(text: &mut String, mut value: u64) {
    // 2^64 has 20 digits.
    let (mut digits, mut at) = ([b'0'; 20], 20);
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).expect("a digit");
        value /= 10;
        if value == 0 {
            break;
        }
    }
    text.push_str(std::str::from_utf8(&digits[at..]).expect("digits are ASCII"));
}

#[cfg(test)]
mod tests;
