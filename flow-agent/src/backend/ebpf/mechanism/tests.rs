use super::*;

#[test]
fn many_devices_are_attached_to_by_filters_unless_something_speaks_for_links() {
    use Mechanism::{Clsact, Tcx};
    // The number of devices, a predecessor's links, its filters, whether something is against filters, the expected
    // mechanism.
    for (devices, has_links, has_filters, is_against_filters, expected) in [
        (1, false, false, false, Tcx),
        (100, false, false, false, Tcx),
        (101, false, false, false, Clsact),
        (1_001, false, false, true, Tcx),
        (1_001, true, false, false, Tcx),
        // The predecessor had more devices, or was configured to use clsact.
        (1, false, true, false, Clsact),
        (1, false, true, true, Tcx),
        (1_001, true, true, false, Tcx),
    ] {
        let circumstances = Circumstances { devices, has_links, has_filters, is_against_filters };
        assert_eq!(decide(circumstances), expected, "{circumstances:?}");
    }
}
