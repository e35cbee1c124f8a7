//! The gate on threads in every possible interleaving, and compared with a model that is too simple to be wrong.

mod interleavings;
mod naive;

use super::{Rule, port_entry, side};
use crate::frame::Direction::{Egress, Ingress};

#[test]
fn the_rule_says_which_packets_are_billed_and_on_which_side() {
    let sides = |rule| [side(port_entry(7, rule), Ingress), side(port_entry(7, rule), Egress)];
    assert_eq!(sides(Rule::Both), [Some(0), Some(0)]);
    assert_eq!(sides(Rule::In), [Some(0), None]);
    assert_eq!(sides(Rule::Out), [None, Some(0)]);
    assert_eq!(sides(Rule::Max), [Some(0), Some(1)]);
}
