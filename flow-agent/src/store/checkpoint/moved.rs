//! The compact form of what moved between two readings: base64 of bytes.
//!
//! For each port with changes, in ascending order: the distance from the port before (the first one from 0), a byte with
//! a bit for each of the eight numbers that increased, beginning with the lowest, and the increases of these. Distances
//! and increases are LEB128: seven bits a byte, the lowest first, and the highest bit says that another byte follows.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Cumulative readings by port, the eight numbers in order.
type Totals = BTreeMap<u16, [u64; 8]>;

/// What moved from `last` to `next`; `None` if something decreased or disappeared. A port that is only in `next` is one
/// that was zero, or unchanged since the last seal and thus not in `last`: its whole reading is an increase.
pub(super) fn between(last: &Totals, next: &Totals) -> Option<String> {
    if last.keys().any(|port| !next.contains_key(port)) {
        return None;
    }
    let (mut bytes, mut before) = (Vec::new(), 0);
    for (port, total) in next {
        let from = last.get(port);
        if from == Some(total) {
            continue;
        }
        put(&mut bytes, u64::from(port - before));
        before = *port;
        let mut increases = [0; 8];
        for (index, increase) in increases.iter_mut().enumerate() {
            *increase = total[index].checked_sub(from.map_or(0, |from| from[index]))?;
        }
        bytes.push((0..8).filter(|index| increases[*index] > 0).fold(0, |bits, index| bits | 1 << index));
        increases.iter().filter(|increase| **increase > 0).for_each(|increase| put(&mut bytes, *increase));
    }
    Some(STANDARD_NO_PAD.encode(bytes))
}

/// Adds what moved to `totals`; `None` if the text is not of this form or a number would exceed 2^64.
pub(super) fn add(text: &str, totals: &mut Totals) -> Option<()> {
    let bytes = STANDARD_NO_PAD.decode(text).ok()?;
    let (mut rest, mut port, mut is_first) = (bytes.as_slice(), 0_u16, true);
    while !rest.is_empty() {
        let distance = u16::try_from(take(&mut rest)?).ok().filter(|distance| is_first || *distance > 0)?;
        port = port.checked_add(distance)?;
        is_first = false;
        let (bits, after) = rest.split_first()?;
        rest = after;
        let total = totals.entry(port).or_default();
        for (index, number) in total.iter_mut().enumerate() {
            if bits & 1 << index != 0 {
                *number = number.checked_add(take(&mut rest)?)?;
            }
        }
    }
    Some(())
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        let part = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if part.checked_shl(shift)? >> shift != part {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests;
