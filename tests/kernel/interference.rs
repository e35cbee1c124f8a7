//! Others who touch what counts: a catalogue of what they do, each item of it done to every kind of counters under traffic,
//! while an observer that shares no hook with us counts too. Shown for each case, in bytes: nothing is counted twice; what is
//! not counted passed in a time that is marked; counting goes on within ten seconds without a person; and no bucket that may
//! be wrong is called `exact`.
//!
//! A row of the catalogue is an [`Interference`]; see `rules.rs` for how to add one. [`run`] does them side by side, each in
//! namespaces of its own, and prints the table.

mod firewalls;
mod judge;
mod rules;
mod scene;

pub use judge::Outcome;
pub use scene::{Kind, Scene};

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::common::paced::Families;

/// One way in which somebody else touches what counts.
#[derive(Clone, Copy)]
pub struct Interference {
    pub name: &'static str,
    /// To which kinds of counters it can be done.
    pub applies: fn(Kind) -> bool,
    /// What is done, while the agent counts or after it was killed.
    pub work: fn(&mut Scene),
    /// Whether an agent is there when it happens.
    pub when: When,
}

/// Whether an agent is there when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Counting,
    /// It was killed before, and is started again afterwards.
    Killed,
}

/// Cases that are run at the same time: what they do most is wait.
const SIDE_BY_SIDE: usize = 8;

/// Does every one of `rows` to every one of `kinds`, with traffic of each of `families`, prints the table, and panics where
/// one is not as it should be.
pub fn run(rows: &[Interference], kinds: &[Kind], families: &[Families]) {
    let mut cases = Vec::new();
    for row in rows {
        for kind in kinds.iter().filter(|kind| (row.applies)(**kind) && kind.is_possible()) {
            cases.extend(families.iter().map(|families| (*row, *kind, *families)));
        }
    }
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some((row, kind, families)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let case = || scene::play(*row, *kind, *families);
                    let outcome = std::panic::catch_unwind(case).unwrap_or_else(|panic| {
                        let why = panic.downcast_ref::<String>().cloned();
                        Some(Outcome::failed(why.unwrap_or_else(|| "it panicked".into())))
                    });
                    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                    outcomes
                        .extend(outcome.map(|outcome| (format!("{} | {kind:?} | {families:?}", row.name), outcome)));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by(|a, b| a.0.cmp(&b.0));
    println!("| interference | counters | families | {}", Outcome::HEADING);
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (case, outcome) in &outcomes {
        println!("| {case} | {outcome}");
    }
    let bad: Vec<String> = outcomes
        .iter()
        .filter(|(_, outcome)| !outcome.problems.is_empty())
        .map(|(case, outcome)| format!("{case}: {}", outcome.problems.join("; ")))
        .collect();
    assert!(bad.is_empty(), "{} of {} cases:\n{}", bad.len(), outcomes.len(), bad.join("\n"));
}

/// Every item of the catalogue, with both families at once.
#[test]
fn whatever_others_do_to_rules_is_told_and_counted_once() {
    run(&[rules::catalogue(), firewalls::catalogue()].concat(), &Kind::OF_RULES, &[Families::Both]);
}

/// The whole product.
#[test]
#[ignore = "takes ten minutes: `cargo test --test kernel -- --ignored interference`"]
fn whatever_others_do_to_rules_is_told_and_counted_once_in_each_family() {
    let families = [Families::V4, Families::V6, Families::Both];
    run(&[rules::catalogue(), firewalls::catalogue()].concat(), &Kind::OF_RULES, &families);
}
