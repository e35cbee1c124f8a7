//! When a report replaces an earlier one of the same month, and what becomes a revision.

use super::*;

#[test]
fn the_same_month_again_is_the_same_report() {
    let directory = Directory::new(vec![user("alice", &[443])]);
    let first = report_of(&directory, FIRST, 100, true);
    let again = report_of(&directory, LATER, 100, true).revise(Some(first.clone()));
    assert_eq!(again, first);
}

#[test]
fn another_reason_for_the_same_lack_says_nothing_new() {
    let directory = Directory::new(vec![user("alice", &[443])]);
    let first = report_of(&directory, FIRST, 100, false);
    let mut again = report_of(&directory, LATER, 100, false);
    again.nodes[1].why = Some("no route to host".to_owned());
    assert_eq!(again.clone().revise(Some(first.clone())), first);
    // If anything else changes, the new reason appears with it.
    let mut more = report_of(&directory, LATER, 101, false);
    more.nodes[1].why = Some("no route to host".to_owned());
    let more = more.revise(Some(first.clone()));
    assert_eq!((more.rev, more.nodes[1].why.as_deref()), (1, Some("no route to host")));
    // Reaching a node again, or no longer, is a change.
    again.nodes[1].why = None;
    assert_eq!(again.revise(Some(first)).rev, 1);
}

#[test]
fn late_data_make_a_revision_that_says_what_changed() {
    let directory = Directory::new(vec![user("alice", &[443]), user("bob", &[80])]);
    let first = report_of(&directory, FIRST, 100, false);
    let second = report_of(&directory, LATER, 100, true).revise(Some(first.clone()));
    let alice = statement(&second, "alice");
    assert_eq!((alice.rev, alice.billed_bytes), (1, 105));
    let [said] = &alice.history[..] else { panic!("one earlier revision") };
    assert_eq!((said.rev, said.billed_bytes, said.state), (0, 100, Finality::Provisional));
    assert_eq!(said.at, first.made_at);
    assert_eq!((statement(&second, "bob").rev, second.rev, second.state), (0, 1, Finality::Final));
    assert_eq!(second.first_made_at, Some(first.made_at));
}

#[test]
fn a_month_that_was_over_is_revised_even_without_a_letter() {
    let directory = Directory::new(vec![user("alice", &[443])]);
    let first = report_of(&directory, FIRST, 100, true);
    let second = report_of(&directory, LATER, 90, true).revise(Some(first));
    assert_eq!((statement(&second, "alice").rev, second.rev), (1, 1));
}

#[test]
fn a_month_in_progress_is_revised_only_where_it_was_published() {
    let directory = Directory::new(vec![user("alice", &[443])]);
    let during = |bytes| report_of(&directory, "2026-10-20T12:00:00+08:00", bytes, true);
    let revs = |report: &MonthlyReport| (statement(report, "alice").rev, report.rev);
    let drafts = |report: &MonthlyReport| (statement(report, "alice").draft, report.draft);
    let end = || report_of(&directory, FIRST, 100, true);
    let draft = during(100);
    assert_eq!((draft.state, drafts(&draft)), (Finality::InProgress, (true, true)));
    let changed = during(99).revise(Some(draft.clone()));
    assert_eq!((revs(&changed), drafts(&changed)), ((0, 0), (true, true)));
    let ended = end().revise(Some(draft.clone()));
    assert_eq!((revs(&ended), drafts(&ended)), ((0, 0), (false, false)));

    // Users who got a letter while the month was in progress get one for the whole month, even if its figures are the
    // same.
    let mut published = draft.clone();
    published.publish([None, Some("alice")]);
    assert_eq!(drafts(&published), (false, false));
    assert_eq!(during(100).revise(Some(published.clone())), published, "nothing is new");
    let ended = end().revise(Some(published.clone()));
    assert_eq!((revs(&ended), ended.first_made_at), ((1, 1), Some(ended.made_at)));
    // Changed figures are a draft again.
    let changed = during(99).revise(Some(published));
    assert_eq!((revs(&changed), drafts(&changed)), ((1, 1), (true, true)));

    // A user's letter publishes that user's statement only.
    let mut only_alice = draft;
    only_alice.publish([Some("alice")]);
    assert_eq!((drafts(&only_alice), revs(&end().revise(Some(only_alice)))), ((false, true), (1, 0)));
}

#[test]
fn figures_that_vanish_are_revised_to_nothing() {
    let directory = Directory::default();
    let hk = |lines| gathered(october("hk-1", &directory, &[block("2026-10-05", 86_400, lines)]));
    let first = assemble(&inputs(&directory, None), vec![hk(vec![line("2026-10-05", 443, Some("carol"), (9, 0), 0)])]);
    let second = assemble(&inputs(&directory, None), vec![hk(Vec::new())]).revise(Some(first));
    let carol = statement(&second, "hk-1/carol");
    assert_eq!((carol.rev, carol.billed_bytes, carol.history[0].billed_bytes), (1, 0, 9));
    // And it stays that way.
    let third = assemble(&inputs(&directory, None), vec![hk(Vec::new())]).revise(Some(second.clone()));
    assert_eq!(third, second);
}

#[test]
fn a_report_reads_back_as_it_was_written() {
    let directory = Directory::new(vec![user("alice", &[443])]);
    let price = Price { per: GIB, amount: "0.10".parse().unwrap(), currency: "CNY".to_owned() };
    let first = report_of(&directory, FIRST, 100, false);
    let mut report = report_of(&directory, LATER, 7 * GIB, true).revise(Some(first));
    report.price = Some(price);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<MonthlyReport>(&json).unwrap(), report);
}

proptest! {
    /// No byte appears or vanishes, whoever it is billed to and in whatever order it comes.
    #[test]
    fn all_statements_add_up_to_all_lines(
        lines in prop::collection::vec((1_u32..=31, 440_u16..446, 0_usize..4, 0_u64..1 << 40, 0_u64..1 << 40), 0..60),
        nodes in 1_usize..4,
    ) {
        let names = [None, Some("alice"), Some("carol"), Some("443")];
        let directory = Directory::new(vec![user("alice", &[440, 441]), user("bob", &[442])]);
        let mut expected = Counters::default();
        let mut outcomes = Vec::new();
        for node in 0..nodes {
            let mut busy = BTreeMap::<u32, DayBlock>::new();
            for (number, port, name, input, output) in lines.iter().skip(node).step_by(nodes) {
                let date = format!("2026-10-{number:02}");
                let line = line(&date, *port, names[*name], (*input, *output), 1);
                expected = expected.checked_add(line.counters()).unwrap();
                busy.entry(*number).or_insert_with(|| block(&date, 86_400, Vec::new())).lines.push(line);
            }
            let busy: Vec<_> = busy.into_values().rev().collect();
            outcomes.push(gathered(october(&format!("n{node}"), &directory, &busy)));
        }
        let report = assemble(&inputs(&directory, None), outcomes);
        let sum = |parts: Vec<Counters>| {
            parts.into_iter().fold(Counters::default(), |sum, part| sum.checked_add(part).unwrap())
        };
        prop_assert_eq!(sum(report.statements.iter().map(|statement| statement.total).collect()), expected);
        prop_assert_eq!(report.total(), expected);
        for statement in &report.statements {
            prop_assert_eq!(sum(statement.by_node.values().collect()), statement.total);
            let (input, output) = statement.days.iter().fold((0, 0), |sum, day| (sum.0 + day.0, sum.1 + day.1));
            prop_assert_eq!((input, output), (statement.total.in_bytes(), statement.total.out_bytes()));
        }
    }
}
