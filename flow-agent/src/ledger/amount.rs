//! Formats bytes and rates in the units that a person prefers, short enough for a table column.

use serde::Deserialize;

/// The prefixes of units of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prefixes {
    /// Powers of 1,024: KiB, MiB, GiB.
    #[default]
    Iec,
    /// Powers of 1,000: kB, MB, GB.
    Si,
}

/// What a rate counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateUnit {
    /// Bits, always with powers of 1,000: kbit/s, Mbit/s.
    #[default]
    Bits,
    /// Bytes, with the prefixes of [`Prefixes`].
    Bytes,
}

/// How amounts are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    pub prefixes: Prefixes,
    pub rates: RateUnit,
}

const IEC: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];
const SI: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BITS: [&str; 9] = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s", "Ebit/s", "Zbit/s", "Ybit/s"];

impl Units {
    /// `0 B`, `9.53 GiB`, `95.3 GiB`, `953 GiB`: three significant digits, so that columns stay narrow. Rounded half
    /// up.
    pub fn bytes(self, bytes: u128) -> String {
        match self.prefixes {
            Prefixes::Iec => scaled(bytes, 1_024, &IEC),
            Prefixes::Si => scaled(bytes, 1_000, &SI),
        }
    }

    /// `81.4 Mbit/s`, or `9.70 MiB/s`, of a number of bytes a second.
    pub fn rate(self, bytes_per_second: u128) -> String {
        match self.rates {
            RateUnit::Bits => scaled(bytes_per_second.saturating_mul(8), 1_000, &BITS),
            RateUnit::Bytes => self.bytes(bytes_per_second) + "/s",
        }
    }

    /// The average rate of `bytes` in `seconds`; `None` if no time was measured.
    pub fn average(self, bytes: u128, seconds: u64) -> Option<String> {
        if seconds == 0 {
            return None;
        }
        // Bits are divided and not bytes, so that one byte in four seconds is 2 bit/s.
        let (number, unit) = match self.rates {
            RateUnit::Bits => (bytes.saturating_mul(8) / u128::from(seconds), "bit/s"),
            RateUnit::Bytes => (bytes / u128::from(seconds), "B/s"),
        };
        Some(match self.rates {
            // Some traffic was measured, but less than one unit a second: that must not look like none.
            _ if number == 0 && bytes > 0 => format!("<1 {unit}"),
            RateUnit::Bits => scaled(number, 1_000, &BITS),
            RateUnit::Bytes => self.rate(number),
        })
    }
}

/// Formats `number` with three significant digits, in the largest unit of which it holds at least one.
fn scaled(number: u128, base: u128, units: &[&str; 9]) -> String {
    let mut unit: u128 = 1;
    let mut index = 0;
    while index + 1 < units.len() && number / unit >= base {
        unit *= base;
        index += 1;
    }
    if index == 0 {
        return format!("{number} {}", units[0]);
    }
    // A value that rounds up to one more digit, such as 9.995, falls through to the next form.
    let decimals = |scale: u128| (number / unit) * scale + ((number % unit) * scale + unit / 2) / unit;
    let (hundredths, tenths, whole) = (decimals(100), decimals(10), decimals(1));
    if hundredths < 1_000 {
        format!("{}.{:02} {}", hundredths / 100, hundredths % 100, units[index])
    } else if tenths < 1_000 {
        format!("{}.{} {}", tenths / 10, tenths % 10, units[index])
    } else if whole < base || index + 1 == units.len() {
        format!("{whole} {}", units[index])
    } else {
        format!("1.00 {}", units[index + 1])
    }
}

#[cfg(test)]
mod tests;
