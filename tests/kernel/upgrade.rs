//! The program is replaced under flood by one that was built anew.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::agent::{Node, PROGRAM};
use crate::common::netns::run;
use crate::soak::soak;
use crate::support::has_tcx;

/// The object that the program contains.
const OBJECT: &[u8] = include_bytes!("../../flow-ebpf/object/flow-ebpf.o");

/// What another compiler might have made from the same source: a copy of the program in whose classifiers independent
/// neighbouring instructions have changed places. They do the same, but are other programs for the kernel.
pub fn rebuilt(directory: &Path) -> PathBuf {
    let mut program = fs::read(PROGRAM).unwrap();
    let first = u64::from_ne_bytes(OBJECT[..8].try_into().unwrap());
    let places: Vec<usize> = (0..program.len() - OBJECT.len())
        .filter(|at| u64::from_ne_bytes(program[*at..*at + 8].try_into().unwrap()) == first)
        .filter(|at| program[*at..].starts_with(OBJECT))
        .collect();
    let [place] = places.try_into().expect("the program carries its object once");
    let mut object = OBJECT.to_vec();
    let mut swapped = 0;
    for code in sections_of_code(OBJECT) {
        let mut index = 0;
        let instructions: Vec<[u8; 8]> = OBJECT[code.clone()].as_chunks().0.to_vec();
        let targets = jump_targets(&instructions);
        while index + 1 < instructions.len() {
            if is_wide(&instructions[index]) {
                index += 2;
            } else if !targets.contains(&(index + 1)) && are_independent(&instructions[index], &instructions[index + 1])
            {
                let at = code.start + index * 8;
                object[at..at + 16].rotate_left(8);
                swapped += 1;
                index += 2;
            } else {
                index += 1;
            }
        }
    }
    assert!(swapped > 0, "nothing to change places with");
    program[place..place + OBJECT.len()].copy_from_slice(&object);
    let path = directory.join("flow-agent");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Where the instructions are in a 64-bit ELF object: the sections with SHF_EXECINSTR.
fn sections_of_code(object: &[u8]) -> Vec<Range<usize>> {
    let number = |at: usize| usize::try_from(u64::from_le_bytes(object[at..at + 8].try_into().unwrap())).unwrap();
    let count = usize::from(u16::from_le_bytes(object[60..62].try_into().unwrap()));
    let headers = (0..count).map(|section| number(40) + section * 64);
    headers.filter(|at| number(at + 8) & 4 != 0).map(|at| number(at + 24)..number(at + 24) + number(at + 32)).collect()
}

/// `BPF_LD | BPF_DW | BPF_IMM`, the one instruction that takes two places.
fn is_wide(instruction: &[u8; 8]) -> bool {
    instruction[0] == 0x18
}

fn jump_targets(instructions: &[[u8; 8]]) -> BTreeSet<usize> {
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    const LONG_JUMP: u8 = 0x06;
    let target = |(index, instruction): (usize, &[u8; 8])| {
        let [code, _, low, high, immediate @ ..] = *instruction;
        let distance = match code {
            CALL | EXIT => return None,
            LONG_JUMP => i32::from_le_bytes(immediate),
            _ if code & 7 == 5 || code & 7 == 6 => i16::from_le_bytes([low, high]).into(),
            _ => return None,
        };
        (index + 1).checked_add_signed(isize::try_from(distance).unwrap())
    };
    instructions.iter().enumerate().filter_map(target).collect()
}

/// Whether these are two moves into registers, neither of which overwrites what the other reads or writes.
fn are_independent(one: &[u8; 8], other: &[u8; 8]) -> bool {
    const MOVE_NUMBER: u8 = 0xb7;
    const MOVE_REGISTER: u8 = 0xbf;
    let parts = |instruction: &[u8; 8]| {
        let source = (instruction[0] == MOVE_REGISTER).then_some(instruction[1] >> 4);
        (instruction[1] & 15, source)
    };
    let are_moves = [one, other].iter().all(|instruction| [MOVE_NUMBER, MOVE_REGISTER].contains(&instruction[0]));
    let ((one_to, one_from), (other_to, other_from)) = (parts(one), parts(other));
    are_moves && one_to != other_to && one_from != Some(other_to) && other_from != Some(one_to)
}

fn json(command: &mut Command) -> Value {
    serde_json::from_str(&run(command)).unwrap()
}

/// The id of every pinned link of the node, and the tag of its program, which is a hash of its instructions.
fn links(node: &Node) -> (BTreeSet<u64>, BTreeSet<String>) {
    let (mut ids, mut tags) = (BTreeSet::new(), BTreeSet::new());
    for entry in fs::read_dir(node.pins().join("links")).unwrap() {
        let link = json(Command::new("bpftool").args(["-j", "link", "show", "pinned"]).arg(entry.unwrap().path()));
        let program = link["prog_id"].to_string();
        let program = json(Command::new("bpftool").args(["-j", "prog", "show", "id", &program]));
        ids.insert(link["id"].as_u64().unwrap());
        tags.insert(program["tag"].as_str().unwrap().to_owned());
    }
    (ids, tags)
}

#[test]
fn two_hundred_upgrades_under_flood_keep_the_links_and_count_every_byte_once() {
    if !has_tcx() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let builds = [PathBuf::from(PROGRAM), rebuilt(directory.path())];
    let mut lives = 0;
    let mut before: Option<(BTreeSet<u64>, BTreeSet<String>)> = None;
    soak(&[], Node::kill, |node, arguments| {
        node.replace_program(&builds[lives % 2]);
        lives += 1;
        node.start(arguments);
        let (ids, tags) = links(node);
        assert_eq!((ids.len(), tags.len()), (2, 2), "one link and one program a direction");
        if let Some((ids_before, tags_before)) = before.replace((ids.clone(), tags.clone())) {
            assert_eq!(ids, ids_before, "the links are the same");
            assert!(tags.is_disjoint(&tags_before), "the programs are others: {tags:?} after {tags_before:?}");
        }
    });
}

#[test]
fn two_hundred_upgrades_on_clsact_under_flood_count_every_byte_once() {
    let directory = tempfile::tempdir().unwrap();
    let builds = [PathBuf::from(PROGRAM), rebuilt(directory.path())];
    let mut lives = 0;
    let mut before = BTreeSet::new();
    soak(&["--attach", "clsact"], Node::kill, |node, arguments| {
        node.replace_program(&builds[lives % 2]);
        lives += 1;
        node.start(arguments);
        let mut tags = BTreeSet::new();
        for direction in ["ingress", "egress"] {
            let filters = json(node.tc().args(["-j", "filter", "show", "dev", "wan", direction]));
            let filters: Vec<_> =
                filters.as_array().unwrap().iter().filter_map(|filter| filter.get("options")).collect();
            assert_eq!(filters.len(), 1, "one filter a direction: {filters:?}");
            tags.insert(filters[0]["prog"]["tag"].as_str().unwrap().to_owned());
        }
        assert!(tags.is_disjoint(&before), "the programs are others: {tags:?} after {before:?}");
        before = tags;
    });
}
