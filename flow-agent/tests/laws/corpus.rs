//! Every input in `fuzz/corpus`: those made by hand from real files, and those with which the fuzzer broke a law.

use std::fs;
use std::path::Path;

use crate::mutations::{Dice, mutate};
use crate::{blocks, config, legacy, ports, saved, state};

/// The inputs that are kept for a fuzz target, with their names.
fn corpus(target: &str, at_least: usize) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut texts: Vec<_> = paths.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect();
    texts.sort();
    assert!(texts.len() >= at_least, "only {} texts", texts.len());
    texts
}

/// Checks each input and `mutations` variants of it.
fn hold_for_all(target: &str, at_least: usize, mutations: usize, hold: impl Fn(&[u8])) {
    let texts = corpus(target, at_least);
    let all: Vec<_> = texts.iter().map(|(_, text)| text.clone()).collect();
    for (number, (name, text)) in texts.iter().enumerate() {
        eprintln!("{name}");
        hold(text);
        let mut dice = Dice(number as u64);
        for _ in 0..mutations {
            let mut mutated = text.clone();
            mutate(&mut mutated, &mut dice, &all);
            hold(&mutated);
        }
    }
}

#[test]
fn the_laws_of_saved_rules_hold_for_the_whole_corpus() {
    hold_for_all("saved", 20, 100, saved::hold);
}

#[test]
fn the_laws_of_port_files_hold_for_the_whole_corpus() {
    // Their mutations are in `formats`.
    hold_for_all("ports", 10, 0, ports::hold);
}

#[test]
fn the_laws_of_sealed_logs_hold_for_the_whole_corpus() {
    hold_for_all("blocks", 9, 500, blocks::hold);
}

#[test]
fn the_laws_of_legacy_logs_hold_for_the_whole_corpus() {
    hold_for_all("legacy", 4, 500, legacy::hold);
}

#[test]
fn the_laws_of_small_files_hold_for_the_whole_corpus() {
    let root = tempfile::tempdir().unwrap();
    hold_for_all("state", 8, 300, |text| {
        let root = tempfile::tempdir_in(&root).unwrap();
        state::hold(root.path(), text);
    });
}

#[test]
fn the_laws_of_the_configuration_hold_for_the_whole_corpus() {
    let root = tempfile::tempdir().unwrap();
    hold_for_all("config", 20, 50, |text| config::hold(root.path(), text));
}
