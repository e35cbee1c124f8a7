use super::*;

#[test]
fn the_exposure_is_in_the_last_line() {
    let said = "✗ PrivateNetwork= …  0.5\n\n→ Overall exposure level for flow-agent.service: 2.0 OK 🙂\n";
    assert_eq!(exposure(said), Some(2.0));
    assert_eq!(exposure("nothing"), None);
}
