use super::*;

#[test]
fn a_revision_grows_even_if_the_clock_was_set_back() {
    let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
    assert_eq!(revision_after(1, now), 1_790_000_000);
    assert_eq!(revision_after(1_790_086_400, now), 1_790_086_401);
}
