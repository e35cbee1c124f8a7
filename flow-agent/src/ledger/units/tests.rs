use super::*;

#[test]
fn only_one_is_one() {
    assert_eq!([0, 1, 2].map(|number| count(number, "port")), ["0 ports", "1 port", "2 ports"]);
}

#[test]
fn bytes_are_shown_in_the_unit_that_fits() {
    for (bytes, shown) in [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_024, "1.00 KiB"),
        (1_536, "1.50 KiB"),
        (1_048_570, "1023.99 KiB"),
        (1_048_571, "1.00 MiB"),
        (1_048_575, "1.00 MiB"),
        (1_073_741_824, "1.00 GiB"),
        (5_905_580_032, "5.50 GiB"),
        (549_755_813_888, "512.00 GiB"),
        (u128::from(u64::MAX), "16.00 EiB"),
        (1 << 71, "2048.00 EiB"),
        (u128::MAX, "295147905179352825856.00 EiB"),
    ] {
        assert_eq!(Human(bytes).to_string(), shown, "{bytes}");
    }
    assert_eq!(format!("{:>10}|", Human(1)), "       1 B|");
}

#[test]
fn round_bytes_are_shown_as_they_were_written() {
    for text in ["1 B", "1 GiB", "500 GiB", "2 TB", "1 GB", "1500 GB", "100 MiB", "1000 B"] {
        let shown = Written(parse_bytes(text).unwrap()).to_string();
        assert_eq!(parse_bytes(&shown), parse_bytes(text), "{text}");
        assert_eq!(shown, text.replace("1000 B", "1 kB"));
    }
    for (bytes, shown) in [(0, "0 B"), (1_234_567, "1.18 MiB"), (u64::MAX, "16.00 EiB"), (1 << 60, "1 EiB")] {
        assert_eq!(Written(bytes).to_string(), shown, "{bytes}");
    }
}

#[test]
fn what_people_write_is_read_exactly() {
    for (text, bytes) in [
        ("0", 0),
        ("1048576", 1_048_576),
        ("500 GiB", 536_870_912_000),
        ("500GiB", 536_870_912_000),
        ("2 TB", 2_000_000_000_000),
        ("1.5 GiB", 1_610_612_736),
        ("0.1 KiB", 102),
        ("18446744073709551615", u64::MAX),
        ("16777215.999999999 TiB", 18_446_744_073_709_550_516),
        (" 7 kib ", 7_168),
    ] {
        assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
    }
}

#[test]
fn what_is_not_a_number_of_bytes_is_refused() {
    for text in ["", "GiB", "-1", "1e9", "1.", ".5", "1.2.3", "٣", "1.0000000001 GiB"] {
        assert!(matches!(parse_bytes(text), Err(UnitError::NotBytes { .. } | UnitError::UnknownUnit { .. })), "{text}");
    }
    assert!(matches!(parse_bytes("5 apples"), Err(UnitError::UnknownUnit { .. })));
    for text in ["18446744073709551616", "16 EiB", "99999999999999999999 B"] {
        assert!(matches!(parse_bytes(text), Err(UnitError::TooLarge { .. })), "{text}");
    }
}
