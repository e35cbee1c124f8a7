use super::*;

#[test]
fn the_maps_take_a_line_for_every_cpu_and_slot() {
    // 64 x 1,256 x 64 + 131,072: 1,250 slots for 1,000 ports, plus 6 lines.
    assert_eq!(map_bytes(64, 1_250), 5_275_648);
    // 2 x 70 x 64 + 131,072.
    assert_eq!(map_bytes(2, 64), 140_032);
}
