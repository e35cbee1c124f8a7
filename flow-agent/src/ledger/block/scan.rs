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
        let mut at = Cursor { rest: line.strip_prefix(begin.as_bytes())? };
        let (port, user, counters) = at.counted()?;
        at.end()?;
        Some(DayLine::new(seal.day, port, user, counters))
    })
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
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
        let mut value: u64 = 0;
        let mut digits = 0;
        while let Some(digit) = self.rest.get(digits).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
            digits += 1;
        }
        let leading_zero = digits > 1 && self.rest[0] == b'0';
        self.rest = &self.rest[digits..];
        (digits > 0 && !leading_zero).then_some(value)
    }

    /// The content of a JSON string without escapes; also skips the closing quote.
    fn text(&mut self) -> Option<String> {
        let end = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        let (inside, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.expect(b"\"")?;
        std::str::from_utf8(inside).ok().map(str::to_owned)
    }

    /// `8388,"user":"acct-8388","tcp_in_bytes":1,…`: port, user where there is one, and the eight.
    fn counted(&mut self) -> Option<(u16, Option<String>, Counters)> {
        let port = u16::try_from(self.number()?).ok()?;
        let user = if self.skip(br#","user":""#) { Some(self.text()?) } else { None };
        let mut field = |name: &[u8]| {
            self.expect(name)?;
            self.number()
        };
        let counters = Counters {
            tcp_in_bytes: field(br#","tcp_in_bytes":"#)?,
            tcp_in_packets: field(br#","tcp_in_packets":"#)?,
            tcp_out_bytes: field(br#","tcp_out_bytes":"#)?,
            tcp_out_packets: field(br#","tcp_out_packets":"#)?,
            udp_in_bytes: field(br#","udp_in_bytes":"#)?,
            udp_in_packets: field(br#","udp_in_packets":"#)?,
            udp_out_bytes: field(br#","udp_out_bytes":"#)?,
            udp_out_packets: field(br#","udp_out_packets":"#)?,
        };
        Some((port, user, counters))
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
