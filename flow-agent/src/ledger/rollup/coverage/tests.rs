use proptest::prelude::*;

use super::*;

#[test]
fn a_second_that_two_buckets_cover_counts_once() {
    let mut coverage = Coverage::new(100, 200);
    for (start, end) in [(150, 250), (90, 120), (110, 115), (160, 170)] {
        coverage.cover(start, end);
    }
    assert_eq!(coverage.seconds(), 70);
    assert_eq!(coverage.holes(200), [(120, 150)]);
    assert_eq!(coverage.holes(130), [(120, 130)]);
    coverage.uncover(115, 155);
    coverage.uncover(114, 116);
    assert_eq!(coverage.seconds(), 70 - 6 - 5);
}

proptest! {
    #[test]
    fn it_counts_like_one_who_looks_at_every_second(
        covered in prop::collection::vec((0..60_i64, 0..30_i64), 0..8),
        unseen in prop::collection::vec((0..60_i64, 0..10_i64), 0..8),
        until in 0..80_i64,
    ) {
        let mut coverage = Coverage::new(10, 70);
        covered.iter().for_each(|(start, length)| coverage.cover(*start, start + length));
        unseen.iter().for_each(|(start, length)| coverage.uncover(*start, start + length));
        let lies_in = |second: i64, list: &[(i64, i64)]| list.iter().any(|(start, length)| (*start..start + length).contains(&second));
        let expected = (10..70).filter(|second| lies_in(*second, &covered) && !lies_in(*second, &unseen)).count();
        prop_assert_eq!(coverage.seconds(), i64::try_from(expected).unwrap());
        let holes: Vec<i64> = coverage.holes(until).into_iter().flat_map(|(start, end)| start..end).collect();
        let expected: Vec<i64> = (10..until.min(70)).filter(|second| !lies_in(*second, &covered)).collect();
        prop_assert_eq!(holes, expected);
    }
}
