use super::*;

#[test]
fn the_bound_is_what_passes_between_two_readings() {
    // 8 ms a reading: 200 ms between two readings, and three times 8 ms to notice and to act.
    let cost = Duration::from_millis(8);
    let said = |fastest| say(fastest, cost).what;
    assert_eq!(said(None), "limits are enforced by readings: at 1 Gbit/s, up to 28000000 bytes");
    assert_eq!(
        said(Some(("ada".to_owned(), 1_000_000))),
        "limits are enforced by readings: at the current 1000000 B/s of ada, up to 224000 bytes may pass beyond a \
         quota; at 1 Gbit/s, up to 28000000 bytes"
    );
}
