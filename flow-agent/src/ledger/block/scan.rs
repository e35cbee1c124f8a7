//! A fast parser for lines as this program writes them, with fixed order and spacing.
//!
//! Lines in any other form (other order, spaces, escapes, later fields) are left to the JSON parser. For every line
//! that is accepted here, the JSON parser gives the same result.

use crate::ledger::counters::Counters;
use crate::ledger::record::{DayLine, DaySeal, HourLine, HourSeal, stamp};

/// Reads a line that this program wrote without a JSON parser; `None` when it is anything else.
pub type Scanner<'a, Line> = Box<dyn Fn(&[u8]) -> Option<Line> + 'a>;

/// What every hour line under `seal` begins with.
pub(super) fn begin_of_hour(seal: &HourSeal) -> String {
    let (start, end) = (stamp::show(seal.start), stamp::show(seal.end));
    format!(r#"{{"v":1,"kind":"hour","start":"{start}","end":"{end}","port":"#)
}

/// What every day line under `seal` begins with.
pub(super) fn begin_of_day(seal: &DaySeal) -> String {
    format!(r#"{{"v":1,"kind":"day","day":"{}","port":"#, seal.day)
}

/// Reads the hour lines under `seal`.
pub(super) fn hour(seal: &HourSeal) -> Scanner<'_, HourLine> {
    let begin = begin_of_hour(seal);
    Box::new(move |line| {
        let mut at = Cursor { rest: line.strip_prefix(begin.as_bytes())? };
        let (port, user, counters) = at.counted()?;
        let user = user.map(str::to_owned);
        let total = if at.skip(br#","total":["#) { Some(at.eight()?) } else { None };
        let closed = at.skip(br#","closed":true"#);
        at.end()?;
        Some(HourLine::new(seal.start, seal.end, port, user, counters, total, closed))
    })
}

/// Reads the day lines under `seal`.
pub(super) fn day(seal: &DaySeal) -> Scanner<'_, DayLine> {
    let begin = begin_of_day(seal);
    Box::new(move |line| {
        let (port, user, counters) = day_figures(begin.as_bytes(), line)?;
        Some(DayLine::new(seal.day, port, user.map(str::to_owned), counters))
    })
}

/// The port, the user and the numbers of a day line that begins with `begin`.
pub(super) fn day_figures<'a>(begin: &[u8], line: &'a [u8]) -> Option<(u16, Option<&'a str>, Counters)> {
    let mut at = Cursor { rest: line.strip_prefix(begin)? };
    let counted = at.counted()?;
    at.end()?;
    Some(counted)
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Steps over `literal` if it is next.
    fn skip(&mut self, literal: &[u8]) -> bool {
        match self.rest.strip_prefix(literal) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, literal: &[u8]) -> Option<()> {
        self.skip(literal).then_some(())
    }

    /// A JSON integer without a sign: no leading zero, less than 2^64.
    fn number(&mut self) -> Option<u64> {
        let (mut value, mut digits): (u64, usize) = (0, 0);
        // Eight bytes at a time, of which some may already lie behind the number. 16 digits always fit.
        while digits <= 8 {
            let Some(chunk) = self.rest[digits..].first_chunk() else { break };
            let (part, found) = leading_digits(*chunk);
            value = value * POWERS_OF_TEN[found] + part;
            digits += found;
            if found < 8 {
                return self.after_number(value, digits);
            }
        }
        while let Some(digit) = self.rest.get(digits).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
            digits += 1;
        }
        self.after_number(value, digits)
    }

    fn after_number(&mut self, value: u64, digits: usize) -> Option<u64> {
        let leading_zero = digits > 1 && self.rest[0] == b'0';
        self.rest = &self.rest[digits..];
        (digits > 0 && !leading_zero).then_some(value)
    }

    /// The content of a JSON string without escapes; also skips the closing quote.
    fn text(&mut self) -> Option<&'a str> {
        let end = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        let (inside, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.expect(b"\"")?;
        std::str::from_utf8(inside).ok()
    }

    /// `8388,"user":"acct-8388","tcp_in_bytes":1,…`: port, user where there is one, and the eight.
    fn counted(&mut self) -> Option<(u16, Option<&'a str>, Counters)> {
        let port = u16::try_from(self.number()?).ok()?;
        let user = if self.skip(br#","user":""#) { Some(self.text()?) } else { None };
        let counters = Counters {
            tcp_in_bytes: self.field(br#","tcp_in_bytes":"#)?,
            tcp_in_packets: self.field(br#","tcp_in_packets":"#)?,
            tcp_out_bytes: self.field(br#","tcp_out_bytes":"#)?,
            tcp_out_packets: self.field(br#","tcp_out_packets":"#)?,
            udp_in_bytes: self.field(br#","udp_in_bytes":"#)?,
            udp_in_packets: self.field(br#","udp_in_packets":"#)?,
            udp_out_bytes: self.field(br#","udp_out_bytes":"#)?,
            udp_out_packets: self.field(br#","udp_out_packets":"#)?,
        };
        Some((port, user, counters))
    }

    /// The name of a field, and its number.
    #[inline]
    fn field<const N: usize>(&mut self, name: &[u8; N]) -> Option<u64> {
        let (found, rest) = self.rest.split_first_chunk::<N>()?;
        if found != name {
            return None;
        }
        self.rest = rest;
        self.number()
    }

    /// `1,2,3,4,5,6,7,8]`.
    fn eight(&mut self) -> Option<[u64; 8]> {
        let mut numbers = [0; 8];
        for (index, number) in numbers.iter_mut().enumerate() {
            if index > 0 {
                self.expect(b",")?;
            }
            *number = self.number()?;
        }
        self.expect(b"]")?;
        Some(numbers)
    }

    /// The closing brace and the newline, and nothing after.
    fn end(&self) -> Option<()> {
        (self.rest == b"}\n").then_some(())
    }
}

const POWERS_OF_TEN: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The number that the digits at the beginning of `bytes` make, and how many digits that are. All eight are looked at in
/// one go; `scan` is where most of a report's time would go otherwise.
#[inline]
fn leading_digits(bytes: [u8; 8]) -> (u64, usize) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // A digit becomes its value. Anything else becomes more than 9, which sets the highest bit below. A carry from it
    // only reaches bytes behind it, which do not count.
    let values = u64::from_le_bytes(bytes) ^ (u64::from(b'0') * ONES);
    let others = (values.wrapping_add(0x76 * ONES) | values) & (0x80 * ONES);
    let digits = others.trailing_zeros() as usize / 8;
    if digits == 0 {
        return (0, 0);
    }
    // Zeros in front take the place of what is behind the digits.
    let digits_only = values << (64 - 8 * digits);
    // Pairs of digits, then fours, then eight.
    let pairs = digits_only.wrapping_mul(10).wrapping_add(digits_only >> 8);
    let (low, high) = (pairs & 0x0000_00ff_0000_00ff, pairs >> 16 & 0x0000_00ff_0000_00ff);
    let sum = low.wrapping_mul(100 + (1_000_000 << 32)).wrapping_add(high.wrapping_mul(1 + (10_000 << 32)));
    (sum >> 32, digits)
}

#[cfg(test)]
mod tests;
