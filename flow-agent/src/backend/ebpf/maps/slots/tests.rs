use std::cell::RefCell;

use super::super::tables::MapTables;
use super::*;
use crate::ledger::counters::Counters;

const A: u16 = 443;
const B: u16 = 8388;
/// Packet sizes of the two ports, chosen so that a sum of fewer than a million packets shows how many came from each.
const A_BYTES: u64 = 1;
const B_BYTES: u64 = 1_000_000;

/// Two CPUs on which packets of A and B arrive all the time. Before each step one packet of each looks up its slot. It
/// is counted as late as the kernel allows, which is at the end of the next grace period.
struct Flood<'a> {
    tables: &'a MapTables,
    under_way: RefCell<Vec<Box<dyn FnOnce() + 'a>>>,
}

impl<'a> Flood<'a> {
    fn on(tables: &'a MapTables) -> Self {
        Self { tables, under_way: RefCell::default() }
    }

    fn arrive(&self) {
        let mut under_way = self.under_way.borrow_mut();
        under_way.push(Box::new(self.tables.packet(0, A, A_BYTES)));
        under_way.push(Box::new(self.tables.packet(1, B, B_BYTES)));
    }

    fn grace(&self) {
        self.under_way.borrow_mut().drain(..).for_each(|count| count());
    }

    /// Applies at most `most` steps under the flood. Returns whether those were all.
    fn run(&self, steps: &[SlotStep], most: &mut usize) -> bool {
        for step in steps {
            if *most == 0 {
                return false;
            }
            *most -= 1;
            self.arrive();
            self.tables.apply(&[*step], &|| self.grace()).unwrap();
        }
        true
    }

    /// What the successor of a dead agent does.
    fn recover(&self) {
        let owners = self.tables.owners().unwrap();
        self.arrive();
        self.tables.apply(&owners.plan_recovery(&self.tables.routes()), &|| self.grace()).unwrap();
    }

    /// Asserts that no port's slot holds bytes of the other port.
    fn check(&self, when: &str) {
        for (slot, owner) in self.tables.owners().unwrap().owned() {
            let bytes = self.tables.counters(slot).tcp_in_bytes;
            match owner.port() {
                Some(A) => assert_eq!(bytes / B_BYTES, 0, "A holds {bytes} {when}"),
                Some(B) => assert_eq!(bytes % B_BYTES, 0, "B holds {bytes} {when}"),
                other => panic!("nobody added {other:?} {when}"),
            }
        }
    }
}

fn add(tables: &MapTables, port: u16) -> Vec<SlotStep> {
    tables.owners().unwrap().plan_add(&[port].into()).unwrap()
}

#[test]
fn wherever_the_agent_dies_nobody_gets_anothers_bytes() {
    // With a single slot, B gets the very slot that A had. A is added, drained and released; B is added, drained and
    // added again.
    let mut died = true;
    let mut stop = 0;
    while died {
        let tables = MapTables::own(2, 1);
        let flood = Flood::on(&tables);
        let mut most = stop;
        died = !live(&flood, &mut most);
        let when = format!("when the agent dies after step {stop}");
        flood.check(&when);
        flood.recover();
        flood.check(&format!("{when}, and is succeeded"));
        // The successor finishes what was begun, and gives the slot to B.
        let mut unbounded = usize::MAX;
        let owners = tables.owners().unwrap();
        flood.run(&owners.plan_drain(&[A].into()), &mut unbounded);
        flood.run(&tables.owners().unwrap().plan_release(&[A].into()), &mut unbounded);
        flood.run(&add(&tables, B), &mut unbounded);
        flood.arrive();
        flood.grace();
        flood.check(&format!("{when}, is succeeded, and B has the slot"));
        assert_eq!(tables.owners().unwrap().active(), [B].into());
        stop += 1;
    }
    // 5 steps to add A, 3 to drain it, 1 to release it, 5 to add B, 3 to drain it, 2 to make it active again.
    assert_eq!(stop - 1, 19);
}

/// Runs the whole life of the slot, up to `most` steps. Returns whether it got to the end.
fn live(flood: &Flood<'_>, most: &mut usize) -> bool {
    let tables = flood.tables;
    flood.run(&add(tables, A), most)
        && flood.run(&tables.owners().unwrap().plan_drain(&[A].into()), most)
        && flood.run(&tables.owners().unwrap().plan_release(&[A].into()), most)
        && flood.run(&add(tables, B), most)
        && flood.run(&tables.owners().unwrap().plan_drain(&[B].into()), most)
        && flood.run(&add(tables, B), most)
}

#[test]
fn a_drained_slot_stands_still_and_holds_every_packet_that_was_under_way() {
    let tables = MapTables::own(2, 4);
    let flood = Flood::on(&tables);
    let mut unbounded = usize::MAX;
    flood.run(&add(&tables, A), &mut unbounded);
    flood.arrive();
    // One packet was looked up before the first step of the drain, and one before each of its three steps. Packets that
    // arrived after the port was routed away are not counted for A.
    flood.run(&tables.owners().unwrap().plan_drain(&[A].into()), &mut unbounded);
    assert_eq!(tables.counters(1).tcp_in_packets, 3);
    flood.arrive();
    flood.grace();
    assert_eq!(tables.counters(1).tcp_in_packets, 3);
}

#[test]
fn a_port_that_is_added_again_while_it_drains_goes_on_where_it_stood() {
    let tables = MapTables::own(1, 4);
    let once = |steps: &[SlotStep]| tables.apply(steps, &|| {}).unwrap();
    once(&add(&tables, A));
    tables.packet(0, A, 100)();
    once(&tables.owners().unwrap().plan_drain(&[A].into()));
    tables.packet(0, A, 7)();
    once(&add(&tables, A));
    tables.packet(0, A, 20)();
    assert_eq!(tables.counters(1).tcp_in_bytes, 120);
    assert_eq!(tables.others().other_ports.in_bytes, 7);
}

#[test]
fn too_few_free_slots_plan_nothing() {
    let owners = SlotOwners::new(vec![Occupant::Active(1), Occupant::Draining(2), Occupant::Free]).unwrap();
    assert!(owners.have_room_for(&[1, 2, 3].into()));
    assert!(!owners.have_room_for(&[3, 4].into()));
    let error = owners.plan_add(&[2, 3, 4].into()).unwrap_err();
    assert!(matches!(error, BackendError::Full { wanted: 4, slots: 3 }));
    let error = owners.plan_add(&[3, 4, 5].into()).unwrap_err();
    assert!(matches!(error, BackendError::Full { wanted: 5, slots: 3 }));
}

#[test]
fn a_table_that_contradicts_itself_is_refused() {
    assert!(SlotOwners::new(vec![Occupant::Active(5), Occupant::Draining(5)]).is_err());
    assert_eq!(Occupant::from_wire(SlotOwner { port: 5, state: 9, padding: 0 }), None);
}

#[test]
fn a_slot_that_does_not_stay_zero_is_not_given_away() {
    let tables = MapTables::own(1, 1);
    tables.set_route(A, 1);
    let steps = add(&tables, B);
    let error = tables.apply(&steps, &|| tables.packet(0, A, 1)()).unwrap_err();
    assert!(matches!(error, BackendError::SlotInUse { slot: 1 }));
    assert_eq!(tables.owners().unwrap().active(), BTreeSet::new());
}

#[test]
fn a_route_that_nobody_owns_is_taken_back() {
    let tables = MapTables::own(1, 2);
    tables.set_route(A, 2);
    let steps = tables.owners().unwrap().plan_recovery(&tables.routes());
    assert_eq!(steps, [SlotStep::Route { port: A, slot: OTHER_PORTS }, SlotStep::Grace]);
}

#[test]
fn a_recovery_routes_what_is_owned_and_waits_only_for_what_may_be_under_way() {
    let active = SlotOwners::new(vec![Occupant::Active(A), Occupant::Free]).unwrap();
    let route = |port, slot| SlotStep::Route { port, slot };
    assert_eq!(active.plan_recovery(&[(A, 1)].into()), []);
    assert_eq!(active.plan_recovery(&[].into()), [route(A, 1)]);
    assert_eq!(active.plan_recovery(&[(A, 2)].into()), [route(A, OTHER_PORTS), SlotStep::Grace, route(A, 1)]);
    let draining = SlotOwners::new(vec![Occupant::Active(A), Occupant::Draining(B)]).unwrap();
    assert_eq!(draining.plan_recovery(&[(A, 1)].into()), [SlotStep::Grace]);
}

#[test]
fn a_reading_has_what_all_cpus_counted_for_every_port_that_drains_too() {
    let tables = MapTables::own(3, 4);
    let once = |steps: &[SlotStep]| tables.apply(steps, &|| {}).unwrap();
    assert_eq!(tables.read(), (vec![], BTreeSet::new()));
    once(&add(&tables, A));
    once(&add(&tables, B));
    for (cpu, bytes) in [(0, 1), (1, 20), (2, 300)] {
        tables.packet(cpu, A, bytes)();
    }
    tables.packet(1, B, 4_000)();
    once(&tables.owners().unwrap().plan_drain(&[B].into()));
    let moved = |tcp_in_bytes, tcp_in_packets| Counters { tcp_in_bytes, tcp_in_packets, ..Counters::default() };
    assert_eq!(tables.read(), (vec![(A, moved(321, 3)), (B, moved(4_000, 1))], [B].into()));
}
