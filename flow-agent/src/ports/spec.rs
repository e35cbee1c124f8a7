//! PURE: the notation of ports: `443`, `8000-8100`, and sets of both.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Why a text is not a port, a range or a set of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("{found:?} is not a port, expected 1 to 65535 or a range such as 8000-8100")]
    NotAPort { found: String },
    #[error("port {found} is out of range, expected 1 to 65535")]
    OutOfRange { found: String },
    #[error("range {first}-{last} is reversed, expected {last}-{first}")]
    Backwards { first: u16, last: u16 },
    #[error("no port given, expected ports or ranges such as 443 or 8000-8100")]
    Empty,
}

/// Checks that a number is a valid port.
///
/// # Errors
/// [`SpecError::OutOfRange`] for anything but 1 to 65535.
pub fn port(number: i128) -> Result<u16, SpecError> {
    match u16::try_from(number) {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(SpecError::OutOfRange { found: number.to_string() }),
    }
}

/// One port or range: `443` or `8000-8100`. Spaces around the numbers are allowed.
///
/// # Errors
/// For anything else, and for a range whose end is lower than its beginning.
pub fn range(text: &str) -> Result<RangeInclusive<u16>, SpecError> {
    let text = text.trim();
    let Some((first, last)) = text.split_once('-') else {
        let port = number(text, text)?;
        return Ok(port..=port);
    };
    let (first, last) = (number(first.trim(), text)?, number(last.trim(), text)?);
    if first > last {
        return Err(SpecError::Backwards { first, last });
    }
    Ok(first..=last)
}

/// Ports and ranges separated by commas, semicolons or white space: `443, 8000-8100`. Duplicates count once.
///
/// # Errors
/// The first part that is neither, or [`SpecError::Empty`].
pub fn set(text: &str) -> Result<BTreeSet<u16>, SpecError> {
    let mut ports = BTreeSet::new();
    for part in text.split(|c: char| c == ',' || c == ';' || c.is_whitespace()).filter(|part| !part.is_empty()) {
        ports.extend(range(part)?);
    }
    if ports.is_empty() { Err(SpecError::Empty) } else { Ok(ports) }
}

/// The shortest text that [`set`] reads back: `443,8000-8100`. `ip_local_reserved_ports` accepts it as well.
pub fn text(ports: impl IntoIterator<Item = u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for port in ports.into_iter().collect::<BTreeSet<_>>() {
        match ranges.last_mut() {
            Some((_, last)) if port - 1 == *last => *last = port,
            _ => ranges.push((port, port)),
        }
    }
    let parts = ranges.into_iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    parts.collect::<Vec<_>>().join(",")
}

fn number(digits: &str, whole: &str) -> Result<u16, SpecError> {
    // Only digits, because `parse` would accept `+443`.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SpecError::NotAPort { found: whole.to_owned() });
    }
    match digits.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(SpecError::OutOfRange { found: digits.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
