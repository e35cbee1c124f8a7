use chrono::DateTime;

use super::*;
use crate::ledger::record::VERSION;
use crate::testing::sweep::at_every_operation;

fn list(owner: &str) -> PortList {
    let owners = RecordedOwners::from([(443, None), (8388, Some(owner.to_owned()))]);
    PortList {
        v: VERSION,
        at: DateTime::parse_from_rfc3339("2026-10-05T13:00:30+08:00").unwrap(),
        ports: owners.clone(),
        files: BTreeMap::from([("/home/ssr/mudb.json".into(), owners)]),
        stated: StatedLimits::new(),
    }
}

#[test]
fn after_any_fault_there_is_the_old_list_or_the_new_one() {
    at_every_operation(
        |state| write(&state.lock_run().unwrap(), &list("old")).unwrap(),
        |state, _| write(&state.lock_run()?, &list("new")),
        |after| {
            let found = read(&after.state).unwrap().expect("one of them is there");
            assert!(found == list("new") || after.outcome.is_err() && found == list("old"), "{after:?}");
        },
    );
}
