use super::*;
use crate::testing::sweep::at_every_operation;

fn shipped(buckets: u64) -> ShipState {
    let file = ShippedFile { buckets, digest: "ab".into(), ..ShippedFile::default() };
    let day = NaiveDate::from_ymd_opt(2026, 10, 5).unwrap();
    ShipState { file: Some(day), files: BTreeMap::from([(day, file)]), ..ShipState::default() }
}

#[test]
fn after_any_fault_there_is_the_old_state_or_the_new_one() {
    at_every_operation(
        |state| write(&state.lock_ship().unwrap(), &shipped(1)).unwrap(),
        |state, _| write(&state.lock_ship()?, &shipped(2)),
        |after| {
            let found = read(&after.state).unwrap();
            let expected = if after.outcome.is_ok() { vec![shipped(2)] } else { vec![shipped(1), shipped(2)] };
            assert!(expected.contains(&found), "{after:?}");
        },
    );
}
