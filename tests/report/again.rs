//! A month that is reported more than once: with late nodes, with late days, and without any change.

use std::fs;

use serde_json::Value;

use crate::days::{Month, line, month_of, moved, put, sealed};
use crate::fleet::Fleet;

const USERS: &str = r#"
[[users]]
name = "alice"
ports = [443]
email = "alice@example.com"
[[users]]
name = "bob"
ports = [80]
email = "bob@example.com"
language = "zh"
"#;

/// Two nodes. alice is on both, and bob only on the first.
fn two_nodes() -> Option<(Fleet, Month, u64)> {
    let fleet = Fleet::with_mail(&["hk-1", "fr-1"])?;
    let month = Month::last_complete();
    let days = u64::try_from(month.days().count()).unwrap();
    let hk = [moved(443, None, [100, 0, 0, 0]), moved(80, None, [7, 0, 0, 0])];
    put(&fleet.node("hk-1").state_dir, &month, &month_of("hk-1", &month, &hk));
    fleet.configure(USERS, "");
    Some((fleet, month, days))
}

fn add_fr(fleet: &Fleet, month: &Month) {
    let fr = [moved(443, None, [5, 0, 0, 0])];
    put(&fleet.node("fr-1").state_dir, month, &month_of("fr-1", month, &fr));
}

fn text(letter: &Value) -> &str {
    letter["text"].as_str().unwrap()
}

fn subject(letter: &Value) -> &str {
    letter["headers"]["Subject"].as_str().unwrap()
}

#[test]
fn the_same_month_three_times_is_the_same_and_mailed_once() {
    let Some((fleet, month, _)) = two_nodes() else { return };
    add_fr(&fleet, &month);
    let everything = || {
        let dir = fleet.state_dir();
        let mut files = vec![
            dir.join("monthly").join(format!("{}.jsonl", &month.name()[..4])),
            dir.join("sent.jsonl"),
            dir.join("nodes/hk-1/daily").join(format!("{}.jsonl", month.name())),
        ];
        let reports = fs::read_dir(dir.join("reports").join(month.name())).unwrap();
        files.extend(reports.map(|entry| entry.unwrap().path()));
        files.sort();
        files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect::<Vec<_>>()
    };
    fleet.report(&[]).with_code(0);
    let first = everything();
    for arguments in [&[][..], &["--month", &month.name()], &["--month", &month.name(), "--no-mail"], &[]] {
        let ended = fleet.report(arguments).with_code(0);
        assert_eq!(ended.stdout, "");
        let again = everything();
        for ((path, before), (_, now)) in first.iter().zip(&again) {
            assert!(before == now, "{} changed with {arguments:?}", path.display());
        }
        assert_eq!(first.len(), again.len());
    }
    for user in ["alice", "bob", "ops"] {
        assert_eq!(fleet.letters(user).len(), 1, "{user}");
    }
    // The month is done, so the nodes are not even contacted.
    fs::remove_file(fleet.known_hosts()).unwrap();
    fleet.report(&[]).with_code(0);
}

#[test]
fn a_late_node_makes_a_revision_for_whom_it_concerns() {
    let Some((fleet, month, days)) = two_nodes() else { return };
    let ended = fleet.report(&[]).with_code(6);
    assert!(ended.stdout.contains("node fr-1: it has no"), "{}", ended.stdout);
    let letters = fleet.letters("alice");
    assert_eq!(letters.len(), 1);
    assert!(text(&letters[0]).contains("Provisional"), "{}", text(&letters[0]));
    assert!(text(&letters[0]).contains("fr-1"), "{}", text(&letters[0]));
    assert!(subject(&fleet.letters("ops")[0]).contains("INCOMPLETE"));

    add_fr(&fleet, &month);
    fleet.report(&[]).with_code(0);
    let letters = fleet.letters("alice");
    assert_eq!(letters.len(), 2);
    let second = letters.iter().find(|letter| subject(letter).contains("orrection")).expect("a correction");
    let body = text(second);
    for figure in [days * 105, days * 100, days * 5] {
        assert!(body.contains(&crate::month::thousands(figure).to_string()), "{figure} in {body}");
    }
    assert!(!body.contains("Provisional"));
    assert_ne!(letters[0]["headers"]["Message-ID"], letters[1]["headers"]["Message-ID"]);
    assert_eq!(fleet.letters("bob").len(), 1, "his figures are what they were");
    assert_eq!(fleet.letters("ops").len(), 2);
    let revs: Vec<_> =
        fleet.sent().iter().filter(|line| line["user"] == "alice").map(|line| line["rev"].clone()).collect();
    assert_eq!(revs, [0, 0, 1, 1]);

    fleet.report(&[]).with_code(0);
    fleet.report(&["--month", &month.name()]).with_code(0);
    assert_eq!(fleet.letters("alice").len(), 2);
    assert_eq!(fleet.letters("ops").len(), 2);
}

#[test]
fn letters_of_an_incomplete_month_can_be_withheld() {
    let Some((fleet, month, _)) = two_nodes() else { return };
    fleet.configure(USERS, "incomplete = \"withhold\"");
    let ended = fleet.report(&[]).with_code(6);
    assert!(
        ended.stdout.contains("letters are withheld") && ended.stdout.contains("retries what is missing"),
        "{ended:?}"
    );
    assert!(fleet.letters("alice").is_empty() && fleet.letters("bob").is_empty());
    assert_eq!(fleet.letters("ops").len(), 1, "the admin is told");
    add_fr(&fleet, &month);
    fleet.report(&[]).with_code(0);
    for user in ["alice", "bob"] {
        let letters = fleet.letters(user);
        assert_eq!(letters.len(), 1, "{user}");
        assert!(
            !subject(&letters[0]).contains("orrection") && !subject(&letters[0]).contains("更正"),
            "a first letter"
        );
    }
}

#[test]
fn a_better_day_is_never_replaced_by_a_worse_one() {
    let Some((fleet, month, days)) = two_nodes() else { return };
    add_fr(&fleet, &month);
    fleet.report(&["--no-mail"]).with_code(0);
    // The node has lost its last day and half of its first.
    let all: Vec<_> = month.days().collect();
    let mut worse =
        crate::days::sealed_with("hk-1", all[0], &[line(all[0], &moved(443, None, [1, 0, 0, 0]))], 43_200, "UTC");
    for day in &all[1..all.len() - 1] {
        let lines = [moved(443, None, [100, 0, 0, 0]), moved(80, None, [7, 0, 0, 0])].map(|moved| line(*day, &moved));
        worse += &sealed("hk-1", *day, &lines);
    }
    put(&fleet.node("hk-1").state_dir, &month, &worse);
    let said = fleet.report(&["--no-mail", "--month", &month.name()]).with_code(6).stdout;
    assert!(said.contains(&format!("hk-1: {} was refused: it covers 43200 s", all[0])), "{said}");
    let log = fleet.monthly(&month.name()[..4]);
    let alice = log.iter().find(|line| line["user"] == "alice").unwrap();
    assert_eq!(alice["tcp_in_bytes"], days * 105);
}

#[test]
fn a_node_that_went_away_is_named_and_its_figures_stay() {
    let Some((mut fleet, month, days)) = two_nodes() else { return };
    add_fr(&fleet, &month);
    fleet.report(&["--no-mail"]).with_code(0);
    fleet.silence_last();
    let ended = fleet.report(&["--no-mail", "--month", &month.name()]).with_code(6);
    assert!(ended.stdout.contains("fr-1") && ended.stdout.contains("KEPT"), "{}", ended.stdout);
    let log = fleet.monthly(&month.name()[..4]);
    let alice = log.iter().find(|line| line["user"] == "alice").unwrap();
    assert_eq!(alice["tcp_in_bytes"], days * 105);
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_it_would_do() {
    let Some((fleet, month, _)) = two_nodes() else { return };
    add_fr(&fleet, &month);
    let ended = fleet.report(&["--dry-run"]).with_code(0);
    assert!(ended.stdout.contains("would be mailed: alice"), "{}", ended.stdout);
    assert!(!fleet.state_dir().exists());
    assert!(fleet.letters("alice").is_empty());

    fs::remove_dir_all(fleet.node("fr-1").state_dir.join("daily")).unwrap();
    fleet.configure(USERS, "incomplete = \"withhold\"");
    let said = fleet.report(&["--dry-run"]).with_code(6).stdout;
    assert!(said.contains("would be held back: alice") && said.contains("would be mailed: @admins"), "{said}");
}
