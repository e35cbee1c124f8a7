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
