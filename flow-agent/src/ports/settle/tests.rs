use super::*;

fn at(secs: u64) -> Moment {
    Moment { wall: chrono::DateTime::UNIX_EPOCH, boot_ns: secs * 1_000_000_000 }
}

#[test]
fn half_is_taken_at_once_and_less_when_it_stays() {
    let mut settling = Settling::default();
    assert!(settling.takes(&"a", &5, 10, 5, at(0)));
    assert!(!settling.takes(&"a", &4, 10, 4, at(1)));
    assert!(!settling.takes(&"a", &4, 10, 4, at(10)));
    assert!(settling.takes(&"a", &4, 10, 4, at(11)));
    // Losing the only entry is a loss of more than half.
    assert!(!settling.takes(&"a", &0, 1, 0, at(20)));
}

#[test]
fn what_changes_meanwhile_begins_anew() {
    let mut settling = Settling::default();
    assert!(!settling.takes(&"a", &4, 10, 4, at(0)));
    assert!(!settling.takes(&"a", &3, 10, 3, at(9)));
    assert!(!settling.takes(&"a", &3, 10, 3, at(18)));
    // Complete again, and shorter once more later.
    assert!(settling.takes(&"a", &10, 10, 10, at(19)));
    assert!(!settling.takes(&"a", &3, 10, 3, at(20)));
    assert!(settling.takes(&"a", &3, 10, 3, at(30)));
}

#[test]
fn sources_settle_each_for_itself() {
    let mut settling = Settling::default();
    assert!(!settling.takes(&"a", &1, 10, 1, at(0)));
    assert!(!settling.takes(&"b", &1, 10, 1, at(9)));
    assert!(settling.takes(&"a", &1, 10, 1, at(10)));
    assert!(!settling.takes(&"b", &1, 10, 1, at(10)));
}
