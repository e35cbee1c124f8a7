use proptest::prelude::*;

use super::*;

#[test]
fn the_bytes_are_those_of_the_documentation() {
    let last = Totals::from([(80, [5; 8]), (443, [0; 8])]);
    let mut next = last.clone();
    // 300 is 0b10_0101100: 0xac, 0x02.
    next.insert(80, [6, 5, 5, 5, 5, 5, 5, 305]);
    next.insert(65_535, [0, 1, 0, 0, 0, 0, 0, 0]);
    let text = between(&last, &next).unwrap();
    // The distance from 80 to 65,535 is 65,455, which is 0b11_1111111_0101111.
    let expected = [80, 0b1000_0001, 1, 0xac, 0x02, 0xaf, 0xff, 0x03, 0b10, 1];
    assert_eq!(STANDARD_NO_PAD.decode(&text).unwrap(), expected);
    let mut totals = last;
    add(&text, &mut totals).unwrap();
    assert_eq!(totals, next);
}

#[test]
fn the_first_number_of_two_bytes_is_128() {
    let next = Totals::from([(127, [127, 0, 0, 0, 0, 0, 0, 0]), (255, [128, 0, 0, 0, 0, 0, 0, 0])]);
    let text = between(&Totals::new(), &next).unwrap();
    assert_eq!(STANDARD_NO_PAD.decode(&text).unwrap(), [127, 1, 127, 0x80, 0x01, 1, 0x80, 0x01]);
    let mut totals = Totals::new();
    add(&text, &mut totals).unwrap();
    assert_eq!(totals, next);
}

#[test]
fn what_decreases_or_disappears_has_no_compact_form() {
    let last = Totals::from([(80, [5; 8]), (443, [7; 8])]);
    assert_eq!(between(&last, &Totals::from([(80, [5; 8])])), None);
    assert_eq!(between(&last, &Totals::from([(80, [5; 8]), (443, [7, 7, 7, 7, 7, 7, 7, 6])])), None);
    assert_eq!(between(&last, &last), Some(String::new()));
}

#[test]
fn what_no_writer_writes_is_refused() {
    let refused: [&[u8]; 6] = [
        // Cut off within a distance, before the bits, and before an increase.
        &[0x80],
        &[80],
        &[80, 1],
        // A port twice, and one above 65,535.
        &[80, 1, 1, 0, 1, 1],
        &[0xff, 0xff, 0x03, 1, 1, 1, 1, 1],
        // More than 64 bits.
        &[80, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
    ];
    for bytes in refused {
        assert_eq!(add(&STANDARD_NO_PAD.encode(bytes), &mut Totals::new()), None, "{bytes:?}");
    }
    let most = [80, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let mut totals = Totals::from([(80, [0; 8])]);
    add(&STANDARD_NO_PAD.encode(most), &mut totals).unwrap();
    assert_eq!(totals[&80][0], u64::MAX);
    assert_eq!(add(&STANDARD_NO_PAD.encode([80, 1, 1]), &mut totals), None);
    assert_eq!(add("not base64", &mut totals), None);
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0_u64..300, any::<u64>().prop_map(|number| number >> 1)]
}

proptest! {
    #[test]
    fn every_reading_can_be_added_to_the_one_before(
        ports in prop::collection::btree_map(any::<u16>(), (prop::array::uniform8(number()), prop::array::uniform8(number())), 0..60),
        are_new in prop::collection::vec(any::<bool>(), 60),
    ) {
        let mut last = Totals::new();
        let mut next = Totals::new();
        for ((port, (from, more)), is_new) in ports.into_iter().zip(are_new) {
            if !is_new {
                last.insert(port, from);
            }
            let sum = |index: usize| if is_new { more[index] } else { from[index] + more[index] };
            next.insert(port, std::array::from_fn(sum));
        }
        add(&between(&last, &next).unwrap(), &mut last).unwrap();
        prop_assert_eq!(last, next);
    }
}
