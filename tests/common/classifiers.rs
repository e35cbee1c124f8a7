//! The object that is shipped, loaded with maps of its own.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use aya::maps::Array;
use aya::programs::{ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use flow_common::wire::{PORTS, lines_for};

pub const PROGRAMS: [&str; 4] = ["ingress_eth", "egress_eth", "ingress_ip", "egress_ip"];

/// The load-time constants that change what the verifier reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    pub count_wire: bool,
    pub atomic: bool,
    pub log: bool,
}

/// The object with `slots` slots. Its maps are made, its programs are not loaded yet.
pub fn object(slots: u32, settings: Settings) -> Ebpf {
    let lines = lines_for(slots);
    let cpus = u32::try_from(aya::util::nr_cpus().expect("the kernel lists its CPUs")).expect("CPUs are few");
    EbpfLoader::new()
        .verifier_log_level(VerifierLogLevel::STATS)
        .map_max_entries("CELLS", cpus * lines)
        .map_max_entries("SLOT_OWNER", slots + 1)
        .map_max_entries("AYA_LOGS", 4096)
        .override_global("LINES", &lines, true)
        .override_global("COUNT_WIRE", &u32::from(settings.count_wire), true)
        .override_global("ATOMIC", &u32::from(settings.atomic), true)
        .override_global("LOG", &u32::from(settings.log), true)
        .load(aya::include_bytes_aligned!("../../flow-ebpf/object/flow-ebpf.o"))
        .expect("the maps are made")
}

pub fn load(object: &mut Ebpf, program: &str) -> Result<(), ProgramError> {
    let program = object.program_mut(program).expect("the object has this program");
    let program: &mut SchedClassifier = program.try_into().expect("it is a classifier");
    program.load()
}

pub fn program<'a>(object: &'a Ebpf, name: &str) -> &'a SchedClassifier {
    object.program(name).expect("the object has this program").try_into().expect("it is a classifier")
}

/// Gives the ports the slots from 1 on, in their order.
pub fn watch(object: &mut Ebpf, ports: impl IntoIterator<Item = u16>) {
    let mut slots = [0_u16; PORTS];
    for (slot, port) in (1..).zip(ports) {
        slots[usize::from(port)] = slot;
    }
    let table = object.map_mut("PORT_SLOT").expect("the object has this map");
    let mut table: Array<_, [u16; PORTS]> = table.try_into().expect("it is an array of one table");
    table.set(0, slots, 0).expect("it has one element");
}
