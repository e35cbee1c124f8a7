use super::*;

const GIB: u64 = 1 << 30;

fn price(per: u64, amount: &str, currency: &str) -> Price {
    Price { per, amount: amount.parse().unwrap(), currency: currency.to_owned() }
}

#[test]
fn what_is_billed_is_what_the_configuration_says() {
    let counters = Counters {
        tcp_in_bytes: 1,
        udp_in_bytes: 20,
        tcp_out_bytes: 300,
        udp_out_bytes: 4_000,
        tcp_in_packets: 77,
        ..Counters::default()
    };
    assert_eq!(Billed::Both.bytes(counters), 4_321);
    assert_eq!(Billed::In.bytes(counters), 21);
    assert_eq!(Billed::Out.bytes(counters), 4_300);
    assert_eq!(Billed::Max.bytes(counters), 4_300);
}

#[test]
fn money_is_rounded_once_and_half_up() {
    for (bytes, amount, currency, expected) in [
        (0, "0.10", "CNY", "0.00"),
        (GIB, "0.10", "CNY", "0.10"),
        // 1.5 GiB at 0.10 is 0.15; at 0.05 it is 0.075.
        (GIB + GIB / 2, "0.10", "CNY", "0.15"),
        (GIB + GIB / 2, "0.05", "CNY", "0.08"),
        (GIB / 2, "0.01", "EUR", "0.01"),
        (GIB / 2 - 1, "0.01", "EUR", "0.00"),
        (5 * GIB / 2, "1", "JPY", "3"),
        (GIB / 2, "0.001", "KWD", "0.001"),
        // A third of a cent a byte and more digits than a float has: 2^64 - 1 bytes at 0.10.
        (u64::MAX, "0.10", "CNY", "1717986918.40"),
    ] {
        let money = price(GIB, amount, currency).of(bytes).unwrap();
        assert_eq!(money.amount.to_string(), expected, "{bytes} at {amount} {currency}");
    }
}

#[test]
fn what_a_decimal_cannot_hold_is_not_guessed() {
    assert_eq!(price(1, "79228162514264337593543950335", "CNY").of(2), None);
}
