//! Bytes in the units that people read and write, with integer arithmetic only, and counts of things.

use std::fmt;

/// Binary units, small to large.
const BINARY: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
    ("EiB", 1 << 60),
];

/// Decimal units, as hosting providers use them.
const DECIMAL: [(&str, u64); 6] = [
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("EB", 1_000_000_000_000_000_000),
];

/// Shows bytes in the largest binary unit in which the value is at least one, with two decimals, rounded half up:
/// `0 B`, `1023 B`, `1.50 GiB`. For display only, not for further arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Human(pub u128);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1 << 10 {
            return f.pad(&format!("{} B", self.0));
        }
        let largest = BINARY.len() - 1;
        let mut index = BINARY.iter().rposition(|(_, unit)| self.0 >= u128::from(*unit)).unwrap_or(0);
        let mut hundredths = hundredths_of(self.0, BINARY[index].1);
        if hundredths >= 102_400 && index < largest {
            // 1,023.996 KiB is not 1024.00 KiB but 1.00 MiB.
            index += 1;
            hundredths = hundredths_of(self.0, BINARY[index].1);
        }
        f.pad(&format!("{}.{:02} {}", hundredths / 100, hundredths % 100, BINARY[index].0))
    }
}

fn hundredths_of(bytes: u128, unit: u64) -> u128 {
    let unit = u128::from(unit);
    // Whole units first, because 100 * bytes could exceed 2^128.
    (bytes / unit) * 100 + ((bytes % unit) * 100 + unit / 2) / unit
}

/// Shows configured bytes as they were probably written: `500 GiB`, `2 TB`. It uses the largest binary or decimal unit
/// that gives a whole number, and falls back to [`Human`] if that number would be long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written(pub u64);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = BINARY.iter().chain(&DECIMAL).filter(|(_, unit)| self.0.is_multiple_of(*unit));
        match units.map(|(name, unit)| (self.0 / unit, name)).min() {
            Some((number @ 1..=9_999, name)) => f.pad(&format!("{number} {name}")),
            _ => fmt::Display::fmt(&Human(self.0.into()), f),
        }
    }
}

/// A number with its noun: `0 ports`, `1 port`, `2 ports`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Why a text is not a number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("{text:?} is not a number of bytes such as \"500 GiB\", \"2 TB\" or \"1048576\"")]
    NotBytes { text: String },
    #[error("{unit:?} is not a unit of bytes, expected B, KiB to EiB, or kB to EB")]
    UnknownUnit { unit: String },
    #[error("{text:?} is more than 2^64 - 1 bytes")]
    TooLarge { text: String },
}

/// Parses `500 GiB`, `1.5 TB` or plain bytes. Units are case-insensitive; `GiB` is binary, `GB` decimal. A fraction of
/// a byte (as in `0.1 GiB`) is cut off.
///
/// # Errors
/// When the text is not a number with a known unit, or exceeds a u64.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let not_bytes = || UnitError::NotBytes { text: text.to_owned() };
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    if number.is_empty() {
        return Err(not_bytes());
    }
    let unit = match unit.trim() {
        "" => 1,
        unit => unit_bytes(unit)?,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') || fraction.len() > 9 {
        return Err(not_bytes());
    }
    let too_large = || UnitError::TooLarge { text: text.to_owned() };
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    let parts: u128 = fraction.parse().map_err(|_| not_bytes())?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| not_bytes())?);
    // Less than 2^128: each factor is less than 2^64.
    let bytes = u128::from(whole) * u128::from(unit) + parts * u128::from(unit) / scale;
    u64::try_from(bytes).map_err(|_| too_large())
}

/// How many bytes a unit has: `GiB` is 2^30, `GB` is 10^9.
///
/// # Errors
/// When there is no such unit.
pub fn unit_bytes(unit: &str) -> Result<u64, UnitError> {
    BINARY
        .iter()
        .chain(&DECIMAL)
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .map(|(_, bytes)| *bytes)
        .ok_or_else(|| UnitError::UnknownUnit { unit: unit.to_owned() })
}

#[cfg(test)]
mod tests;
