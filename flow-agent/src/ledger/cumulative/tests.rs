use super::*;

#[test]
fn a_second_that_two_interfaces_missed_counts_once() {
    let gap = |start: &str, end: &str| Gap {
        start: format!("2026-10-05T13:{start}+08:00").parse().unwrap(),
        end: format!("2026-10-05T13:{end}+08:00").parse().unwrap(),
        interface: "eth0".into(),
        why: "gone".into(),
    };
    // 10 to 30 and 20 to 40 are 30 seconds, 50 to 55 are five more, 51 to 52 are among them.
    let gaps = [gap("00:50", "00:55"), gap("00:20", "00:40"), gap("00:10", "00:30"), gap("00:51", "00:52")];
    assert_eq!(seconds_of(&gaps), 35);
    assert_eq!(seconds_of(&[]), 0);
}
