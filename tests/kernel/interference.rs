//! Other programs and people that interfere with counting: a catalogue of what they do. Each row is tried on every kind
//! of counters under traffic, while an observer that shares no hook with us also counts. For each case it is shown, in
//! bytes, that nothing is counted twice; that what is not counted passed in a time that is marked; that counting
//! continues within ten seconds without a person; and that no bucket that may be wrong is called `exact`.
//!
//! A row of the catalogue is an [`Interference`]. `rules` and `firewalls` contain what is done to rules and by
//! firewalls, `attachments` and `pins` what is done to eBPF, and `state` what is done to the files. [`run`] plays the
//! rows side by side, each in its own namespaces, and prints the table.
//!
//! To add a row, write an [`Interference`] with a name, the kinds that it applies to, and what is done. For another
//! kind of counters, add a [`Kind`].

mod attachments;
mod firewalls;
mod judge;
mod kind;
mod pins;
mod rules;
mod scene;
mod state;
mod tables;

use judge::Outcome;
use kind::Kind;
use scene::Scene;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::common::paced::Families;

/// One way in which somebody else interferes with counting.
#[derive(Clone, Copy)]
struct Interference {
    name: &'static str,
    /// The kinds of counters to which it can be done.
    applies: fn(Kind) -> bool,
    /// What is done, while the agent counts or after it was killed.
    work: fn(&mut Scene),
    /// Whether an agent runs when it happens.
    when: When,
    /// The kinds of counters for which it must not lose a byte or mark any time.
    is_harmless: fn(Kind) -> bool,
    /// What the agent is given before it starts.
    setting: Setting,
    /// Whether the observer must be at the peer's end of the wire, because what is done would remove one at the host.
    removes_nft: bool,
}

const fn row(name: &'static str, applies: fn(Kind) -> bool, work: fn(&mut Scene)) -> Interference {
    let (when, setting) = (When::Counting, Setting::Plain);
    Interference { name, applies, work, when, is_harmless: |_| false, setting, removes_nft: false }
}

const fn killed(name: &'static str, applies: fn(Kind) -> bool, work: fn(&mut Scene)) -> Interference {
    Interference { when: When::Killed, ..row(name, applies, work) }
}

impl Interference {
    /// The same row, which must not cost these kinds anything.
    const fn harmless(self, is_harmless: fn(Kind) -> bool) -> Self {
        Self { is_harmless, ..self }
    }

    /// The same row, which removes everything that nft knows on the host.
    const fn removing_nft(self) -> Self {
        Self { removes_nft: true, ..self }
    }

    /// The same row, with an agent that is started in this setting.
    const fn with(self, setting: Setting) -> Self {
        Self { setting, ..self }
    }
}

/// Every row.
fn catalogue() -> Vec<Interference> {
    let parts = [
        rules::catalogue(),
        tables::catalogue(),
        firewalls::catalogue(),
        attachments::catalogue(),
        pins::catalogue(),
        state::catalogue(),
    ];
    parts.concat()
}

/// What an agent is given before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    /// What the host has.
    Plain,
    /// A separate `/run` for its locks.
    OwnRun,
    /// A small disk for its state directory.
    SmallDisk,
}

/// Whether an agent runs when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Counting,
    /// It was killed before, and is started again afterwards.
    Killed,
}

/// If this variable is set, only rows whose names contain its value are played.
const SELECT: &str = "FLOW_AGENT_INTERFERENCE";

/// How many cases are run at the same time. They mostly wait.
const SIDE_BY_SIDE: usize = 8;

/// Applies each of `rows` to each of `kinds`, with traffic of each of `families`, prints the table, and panics if a
/// case is not as it should be.
fn run(rows: &[Interference], kinds: &[Kind], families: &[Families]) {
    let mut cases = Vec::new();
    let selected = std::env::var(SELECT).unwrap_or_default();
    for row in rows.iter().filter(|row| row.name.contains(&selected)) {
        for kind in kinds.iter().filter(|kind| (row.applies)(**kind) && kind.is_possible()) {
            cases.extend(families.iter().map(|families| (*row, *kind, *families)));
        }
    }
    assert!(selected.is_empty() || !cases.is_empty(), "no row's name contains {selected:?}");
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

/// Every row that applies to rules, with both families at once.
#[test]
fn whatever_others_do_to_rules_is_told_and_counted_once() {
    run(
        &[rules::catalogue(), tables::catalogue(), firewalls::catalogue()].concat(),
        &Kind::OF_RULES,
        &[Families::Both],
    );
}

#[test]
fn counters_that_were_replaced_before_another_step_failed_are_closed_and_counting_goes_on() {
    run(&[rules::replaced_before_a_failure()], &Kind::OF_RULES, &[Families::Both]);
}

/// Every row that applies to eBPF, with both families at once.
#[test]
fn whatever_others_do_to_ebpf_is_told_and_counted_once() {
    run(&catalogue(), &Kind::OF_EBPF, &[Families::Both]);
}

/// Every row with every kind and every choice of families.
#[test]
#[ignore = "takes a quarter of an hour; tests/README.md has the command"]
fn whatever_others_do_is_told_and_counted_once_in_each_family() {
    run(&catalogue(), &Kind::ALL, &[Families::V4, Families::V6, Families::Both]);
}
