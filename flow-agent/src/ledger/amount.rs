//! Bytes and rates in the units that a person prefers, in the width of a column.

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
    /// `0 B`, `9.53 GiB`, `95.3 GiB`, `953 GiB`: three significant digits, so that columns stay narrow. Rounded half up.
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
            // Something moved, be it little.
            _ if number == 0 && bytes > 0 => format!("<1 {unit}"),
            RateUnit::Bits => scaled(number, 1_000, &BITS),
            RateUnit::Bytes => self.rate(number),
        })
    }
}

/// With three significant digits in the largest unit of which there is at least one.
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
    // In each form, what rounds up to one digit more takes the next form.
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
mod tests {
    use super::*;

    const IEC_BITS: Units = Units { prefixes: Prefixes::Iec, rates: RateUnit::Bits };
    const SI_BYTES: Units = Units { prefixes: Prefixes::Si, rates: RateUnit::Bytes };

    #[test]
    fn bytes_have_three_digits_in_the_unit_that_fits() {
        for (bytes, iec, si) in [
            (0, "0 B", "0 B"),
            (999, "999 B", "999 B"),
            (1_000, "1000 B", "1.00 kB"),
            (1_023, "1023 B", "1.02 kB"),
            (1_024, "1.00 KiB", "1.02 kB"),
            (10_234, "9.99 KiB", "10.2 kB"),
            (10_239, "10.0 KiB", "10.2 kB"),
            (99_950, "97.6 KiB", "100 kB"),
            (999_499, "976 KiB", "999 kB"),
            (999_500, "976 KiB", "1.00 MB"),
            (1_048_575, "1.00 MiB", "1.05 MB"),
            (4_727_000_000_000, "4.30 TiB", "4.73 TB"),
            (u128::from(u64::MAX), "16.0 EiB", "18.4 EB"),
        ] {
            assert_eq!((IEC_BITS.bytes(bytes), SI_BYTES.bytes(bytes)), (iec.to_owned(), si.to_owned()), "{bytes}");
        }
        assert_eq!(IEC_BITS.bytes(u128::MAX), "281474976710656 YiB");
    }

    #[test]
    fn rates_are_in_bits_or_bytes() {
        assert_eq!((IEC_BITS.rate(125), SI_BYTES.rate(125)), ("1.00 kbit/s".to_owned(), "125 B/s".to_owned()));
        assert_eq!((IEC_BITS.rate(125_000_000), SI_BYTES.rate(125_000_000)).0, "1.00 Gbit/s");
        let iec_bytes = Units { rates: RateUnit::Bytes, ..IEC_BITS };
        assert_eq!(iec_bytes.rate(1_048_576), "1.00 MiB/s");
    }

    #[test]
    fn an_average_needs_measured_time() {
        assert_eq!(IEC_BITS.average(450_000_000_000, 3_600).as_deref(), Some("1.00 Gbit/s"));
        assert_eq!(IEC_BITS.average(1, 4).as_deref(), Some("2 bit/s"));
        assert_eq!(IEC_BITS.average(0, 60).as_deref(), Some("0 bit/s"));
        assert_eq!(IEC_BITS.average(1, 60).as_deref(), Some("<1 bit/s"));
        assert_eq!(SI_BYTES.average(59, 60).as_deref(), Some("<1 B/s"));
        assert_eq!(IEC_BITS.average(5, 0), None);
    }
}
