//! The shipped eBPF object, loaded with maps of its own.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use aya::maps::Array;
use aya::programs::{ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use flow_common::gate;
use flow_common::wire::{PORTS, lines_for};

pub const PROGRAMS: [&str; 4] = ["ingress_eth", "egress_eth", "ingress_ip", "egress_ip"];

/// The programs that also refuse what a budget does not allow.
pub const GATED_PROGRAMS: [&str; 4] = ["gated_in_eth", "gated_out_eth", "gated_in_ip", "gated_out_ip"];

/// The load-time constants that change the code that the verifier sees.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    pub count_wire: bool,
    pub atomic: bool,
    pub log: bool,
}

/// Loads the object with `slots` slots. Its maps are created, but its programs are not loaded yet.
pub fn object(slots: u32, settings: Settings) -> Ebpf {
    loader(slots, settings).load(OBJECT).expect("the maps are made")
}

/// Loads the object like [`object`], with one budget, number 1, which bills both directions up to `limit` bytes. No
/// port is assigned to it yet.
pub fn object_with_budget(slots: u32, settings: Settings, limit: u64) -> Ebpf {
    let cpus = u32::try_from(aya::util::nr_cpus().expect("the kernel lists its CPUs")).expect("CPUs are few");
    let mut object = loader(slots, settings)
        .map_max_entries("PORT_BUDGET", u32::try_from(PORTS).expect("65,536"))
        .map_max_entries("BUDGETS", 2)
        .map_max_entries("SHARES", cpus * 2)
        .map_max_entries("REFUSED", slots + 1)
        .override_global("BUDGET_LINES", &2_u32, true)
        .override_global("PLENTY", &((u64::from(cpus) + 1) * gate::LEASE), true)
        .load(OBJECT)
        .expect("the maps are made");
    let mut budget = [gate::UNLIMITED; 16];
    budget[0] = limit;
    budget[4..6].fill(gate::NEVER);
    budget[8..12].fill(0);
    budget[12..].fill(gate::NOT_REFUSED);
    assert_eq!(size_of::<gate::Budget>(), size_of_val(&budget));
    let budgets = object.map_mut("BUDGETS").expect("the object has this map");
    let mut budgets: Array<_, [u64; 16]> = budgets.try_into().expect("it is an array of budgets");
    budgets.set(1, budget, 0).expect("it has this element");
    object
}

/// Assigns a port to the budget.
pub fn lead_to_budget(object: &mut Ebpf, port: u16) {
    let ports = object.map_mut("PORT_BUDGET").expect("the object has this map");
    let mut ports: Array<_, u32> = ports.try_into().expect("it is an array of entries");
    ports.set(port.into(), gate::port_entry(1, gate::Rule::Both), 0).expect("it has one element for each port");
}

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../flow-ebpf/object/flow-ebpf.o");

fn loader(slots: u32, settings: Settings) -> EbpfLoader<'static> {
    let lines = lines_for(slots);
    let cpus = u32::try_from(aya::util::nr_cpus().expect("the kernel lists its CPUs")).expect("CPUs are few");
    let constant = |value: bool| if value { &1_u32 } else { &0_u32 };
    let mut loader = EbpfLoader::new();
    // The loader borrows its constants, so they live as long as the tests.
    let leaked: &'static u32 = Box::leak(Box::new(lines));
    loader
        .verifier_log_level(VerifierLogLevel::STATS)
        .map_max_entries("CELLS", cpus * lines)
        .map_max_entries("SLOT_OWNER", slots + 1)
        .map_max_entries("AYA_LOGS", 4096)
        .override_global("LINES", leaked, true)
        .override_global("COUNT_WIRE", constant(settings.count_wire), true)
        .override_global("ATOMIC", constant(settings.atomic), true)
        .override_global("LOG", constant(settings.log), true);
    loader
}

pub fn load(object: &mut Ebpf, program: &str) -> Result<(), ProgramError> {
    let program = object.program_mut(program).expect("the object has this program");
    let program: &mut SchedClassifier = program.try_into().expect("it is a classifier");
    program.load()
}

pub fn program<'a>(object: &'a Ebpf, name: &str) -> &'a SchedClassifier {
    object.program(name).expect("the object has this program").try_into().expect("it is a classifier")
}

/// Gives the ports the slots from 1 on, in the given order.
pub fn watch(object: &mut Ebpf, ports: impl IntoIterator<Item = u16>) {
    let mut slots = [0_u16; PORTS];
    for (slot, port) in (1..).zip(ports) {
        slots[usize::from(port)] = slot;
    }
    let table = object.map_mut("PORT_SLOT").expect("the object has this map");
    let mut table: Array<_, [u16; PORTS]> = table.try_into().expect("it is an array of one table");
    table.set(0, slots, 0).expect("it has one element");
}
