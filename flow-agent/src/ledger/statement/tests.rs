use chrono::Utc;
use proptest::prelude::*;

use super::*;
use crate::ledger::block::DayBlock;
use crate::ledger::record::{DayLine, DaySeal};
use crate::ledger::user::User;

mod revisions;

const MONTH: &str = "2026-10";
const GIB: u64 = 1 << 30;

fn day(date: &str) -> NaiveDate {
    date.parse().unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// A line with the bytes of `tcp`, in and out, and `udp_out` bytes out.
fn line(date: &str, port: u16, user: Option<&str>, tcp: (u64, u64), udp_out: u64) -> DayLine {
    let counters = Counters {
        tcp_in_bytes: tcp.0,
        tcp_in_packets: 1,
        tcp_out_bytes: tcp.1,
        tcp_out_packets: 2,
        udp_out_bytes: udp_out,
        udp_out_packets: u64::from(udp_out > 0),
        ..Counters::default()
    };
    DayLine::new(day(date), port, user.map(str::to_owned), counters)
}

fn block(date: &str, covered: u32, lines: Vec<DayLine>) -> DayBlock {
    let start = day(date).and_hms_opt(0, 0, 0).unwrap().and_local_timezone(chrono_tz::Asia::Shanghai).unwrap();
    let start = start.fixed_offset();
    let end = start + chrono::TimeDelta::seconds(i64::from(86_400_u32.saturating_sub(covered)));
    let unseen = Gap { start, end, interface: "*".to_owned(), why: Gap::NO_BUCKET.to_owned() };
    let seal = DaySeal {
        v: VERSION,
        kind: Kind::Seal,
        day: day(date),
        node: "whatever".to_owned(),
        zone: "Asia/Shanghai".to_owned(),
        ports: 0,
        seconds_in_day: 86_400,
        seconds_covered: covered,
        buckets_expected: 24,
        buckets_sealed: 24,
        quality: BTreeMap::from([(Quality::Exact, 24)]),
        gaps: (start < end).then_some(unseen).into_iter().collect(),
        late: None,
        // Noon of the next day in UTC, when the day is over in every zone.
        at: Some((day(date) + chrono::Days::new(1)).and_hms_opt(12, 0, 0).unwrap().and_utc().fixed_offset()),
        sha256: String::new(),
    };
    DayBlock { lines, seal }
}

/// All days of October. Those in `busy` have lines.
fn october<'d>(node: &str, directory: &'d Directory, busy: &[DayBlock]) -> NodeMonth<'d> {
    let mut figures = NodeMonth::new(node, directory, MONTH.parse().unwrap(), 1);
    for number in 1..=31 {
        let date = format!("2026-10-{number:02}");
        let found = busy.iter().find(|block| block.seal.day == day(&date)).cloned();
        figures.add(&found.unwrap_or_else(|| block(&date, 86_400, Vec::new()))).unwrap();
    }
    figures
}

fn inputs<'a>(directory: &'a Directory, price: Option<&'a Price>) -> ReportInputs<'a> {
    ReportInputs {
        month: MONTH.parse().unwrap(),
        month_start_day: 1,
        zone: chrono_tz::Asia::Shanghai,
        now: at("2026-11-01T00:11:00+08:00"),
        billed: Billed::Both,
        price,
        directory,
        before: None,
        final_after: chrono::TimeDelta::days(7),
        former: None,
    }
}

fn gathered(figures: NodeMonth<'_>) -> NodeOutcome<'_> {
    NodeOutcome::taken(figures)
}

fn user(name: &str, ports: &[u16]) -> User {
    User { name: name.to_owned(), ports: ports.iter().copied().collect(), ..User::default() }
}

fn statement<'a>(report: &'a MonthlyReport, owner: &str) -> &'a Statement {
    let is_it = |statement: &&Statement| match &statement.user {
        Some(name) => name == owner,
        None => statement.ports == [owner.parse().unwrap_or(0)],
    };
    report.statements.iter().find(is_it).expect("there is such a statement")
}

/// A report of `bytes` for alice on hk-1, gathered at `now`; without `fr-1`, which has 5 bytes more, it is provisional.
fn report_of(directory: &Directory, now: &str, bytes: u64, has_fr: bool) -> MonthlyReport {
    let hk = block("2026-10-05", 86_400, vec![line("2026-10-05", 443, None, (bytes, 0), 0)]);
    let fr = block("2026-10-05", 86_400, vec![line("2026-10-05", 443, None, (5, 0), 0)]);
    let fr = if has_fr {
        gathered(october("fr-1", directory, &[fr]))
    } else {
        let nothing = NodeMonth::new("fr-1", directory, MONTH.parse().unwrap(), 1);
        NodeOutcome { why: Some("connection refused".to_owned()), ..NodeOutcome::taken(nothing) }
    };
    let nodes = vec![gathered(october("hk-1", directory, &[hk])), fr];
    assemble(&ReportInputs { now: at(now), ..inputs(directory, None) }, nodes)
}

const FIRST: &str = "2026-11-01T00:11:00+08:00";
const LATER: &str = "2026-11-02T00:11:00+08:00";

#[test]
fn a_users_bytes_are_added_over_ports_nodes_and_days() {
    let directory = Directory::new(vec![User { quota_bytes: Some(10 * GIB), ..user("alice", &[443, 8443]) }]);
    let price = Price { per: GIB, amount: "0.10".parse().unwrap(), currency: "CNY".to_owned() };
    let hk = october(
        "hk-1",
        &directory,
        &[
            block(
                "2026-10-01",
                86_400,
                vec![line("2026-10-01", 443, None, (GIB, 2 * GIB), 5), line("2026-10-01", 4433, None, (7, 70), 0)],
            ),
            block("2026-10-31", 86_400, vec![line("2026-10-31", 8443, None, (1, 10), 100)]),
        ],
    );
    let fr = october(
        "fr-1",
        &directory,
        &[block("2026-10-31", 86_400, vec![line("2026-10-31", 443, Some("alice"), (3, 30), 300)])],
    );
    let report = assemble(&inputs(&directory, Some(&price)), vec![gathered(hk), gathered(fr)]);

    assert_eq!(report.state, Finality::Final);
    assert!(!report.is_incomplete(1.0));
    assert_eq!(report.coverage, Coverage { seconds_covered: 2 * 31 * 86_400, seconds: 2 * 31 * 86_400 });
    let alice = statement(&report, "alice");
    assert_eq!(alice.ports, [443, 8443]);
    assert_eq!(
        alice.total,
        Counters {
            tcp_in_bytes: GIB + 4,
            tcp_in_packets: 3,
            tcp_out_bytes: 2 * GIB + 40,
            tcp_out_packets: 6,
            udp_out_bytes: 405,
            udp_out_packets: 3,
            ..Counters::default()
        }
    );
    assert_eq!(alice.billed_bytes, 3 * GIB + 449);
    // 3.0000004 GiB at 0.10.
    assert_eq!(alice.money.as_ref().unwrap().amount.to_string(), "0.30");
    assert_eq!((alice.days[0], alice.days[1], alice.days[30]), ((GIB, 2 * GIB + 5), (0, 0), (4, 440)));
    assert_eq!(alice.by_node.get("fr-1").unwrap().bytes(), 333);
    assert_eq!(alice.quota_bytes, Some(10 * GIB));
    let nobodys = statement(&report, "4433");
    assert_eq!((nobodys.user.as_ref(), nobodys.billed_bytes), (None, 77));
    assert_eq!(report.total().bytes(), 3 * GIB + 449 + 77);
}

#[test]
fn a_port_that_changed_hands_bills_both_hands() {
    let directory = Directory::new(vec![user("alice", &[]), user("bob", &[443])]);
    let hk = october(
        "hk-1",
        &directory,
        &[
            block(
                "2026-10-10",
                86_400,
                vec![
                    line("2026-10-10", 443, Some("alice"), (1, 0), 0),
                    line("2026-10-10", 443, Some("bob"), (20, 0), 0),
                ],
            ),
            block("2026-10-11", 86_400, vec![line("2026-10-11", 443, Some("bob"), (300, 0), 0)]),
        ],
    );
    let report = assemble(&inputs(&directory, None), vec![gathered(hk)]);
    assert_eq!(statement(&report, "alice").billed_bytes, 1);
    assert_eq!(statement(&report, "bob").billed_bytes, 320);
}

#[test]
fn whoever_is_configured_has_a_statement_even_of_nothing() {
    let directory = Directory::new(vec![user("alice", &[443])]);
    let report = assemble(&inputs(&directory, None), vec![gathered(october("hk-1", &directory, &[]))]);
    assert_eq!(statement(&report, "alice").billed_bytes, 0);
    assert_eq!(report.month_block().lines.len(), 1);
}

#[test]
fn what_is_missing_is_said() {
    let directory = Directory::default();
    let mut half = NodeMonth::new("fr-1", &directory, MONTH.parse().unwrap(), 1);
    for number in 1..=30 {
        half.add(&block(&format!("2026-10-{number:02}"), 86_400, Vec::new())).unwrap();
    }
    let nothing = NodeMonth::new("us-1", &directory, MONTH.parse().unwrap(), 1);
    let lossy = october("hk-1", &directory, &[block("2026-10-05", 86_400 - 3_600, Vec::new())]);
    let nodes = vec![
        gathered(lossy),
        gathered(half),
        NodeOutcome { why: Some("connection refused".to_owned()), ..NodeOutcome::taken(nothing) },
    ];
    let report = assemble(&inputs(&directory, None), nodes);

    assert_eq!(report.state, Finality::Provisional);
    let [hk, fr, us] = &report.nodes[..] else { panic!("three nodes") };
    assert_eq!((hk.state, hk.coverage.seconds_covered), (NodeState::Gathered, 31 * 86_400 - 3_600));
    // 3,600 of 2,678,400 seconds are 0.134 %.
    assert!(hk.is_incomplete(0.999) && !hk.is_incomplete(0.998));
    assert_eq!(fr.days_missing, [day("2026-10-31")]);
    assert!(fr.is_incomplete(0.0));
    assert_eq!((us.state, us.days_missing.len()), (NodeState::Missing, 31));
    assert_eq!(report.coverage, Coverage { seconds_covered: 61 * 86_400 - 3_600, seconds: 93 * 86_400 });
}

/// A record of September in which each user had a line on the nodes named.
fn september(users: &[(&str, &[&str])]) -> MonthBlock {
    let line = |(user, nodes): &(&str, &[&str])| {
        let total = Counters { tcp_in_bytes: 1, ..Counters::default() };
        let by_node = nodes.iter().map(|node| ((*node).to_owned(), total)).collect();
        MonthLine::new("2026-09".parse().unwrap(), Some((*user).to_owned()), vec![443], total, by_node, Some(1.0))
    };
    let seal = MonthSeal { v: 1, kind: Kind::Seal, month: "2026-09".parse().unwrap(), lines: 0, sha256: String::new() };
    MonthBlock { lines: users.iter().map(line).collect(), seal }
}

#[test]
fn only_those_are_provisional_whom_an_open_node_concerns() {
    let limited = User { nodes: BTreeSet::from(["fr-1".to_owned()]), ..user("erin", &[5_000]) };
    let kept_from = User { nodes: BTreeSet::from(["hk-1".to_owned()]), ..user("frank", &[5_001]) };
    let names = ["alice", "bob", "carol", "dave"].into_iter().zip([443, 444, 445, 446]);
    let mut users: Vec<_> = names.map(|(name, port)| user(name, &[port])).collect();
    users.extend([limited, kept_from]);
    let directory = Directory::new(users);
    let lines = |date: &str, ports: &[u16]| ports.iter().map(|port| line(date, *port, None, (1, 0), 0)).collect();
    let hk = october("hk-1", &directory, &[block("2026-10-05", 86_400, lines("2026-10-05", &[443, 444, 445]))]);
    // The last day of fr-1 has not arrived.
    let mut fr = NodeMonth::new("fr-1", &directory, MONTH.parse().unwrap(), 1);
    for number in 1..=30 {
        let date = format!("2026-10-{number:02}");
        fr.add(&block(&date, 86_400, if number == 5 { lines(&date, &[444]) } else { Vec::new() })).unwrap();
    }
    let nodes = || vec![gathered(hk.clone()), gathered(fr.clone())];
    let states = |report: &MonthlyReport| {
        let state = |name| report.state_of(statement(report, name));
        ["alice", "bob", "carol", "dave", "erin", "frank"].map(state)
    };
    use Finality::{Final, Provisional};
    let before = september(&[("alice", &["hk-1"]), ("bob", &["hk-1"]), ("carol", &["fr-1"])]);
    let known = ReportInputs { before: Some(&before), ..inputs(&directory, None) };
    let report = assemble(&known, nodes());
    // alice was never there; bob has a line there, carol had one in September; nothing is known about dave; erin's
    // `nodes` include it, frank's do not.
    assert_eq!(states(&report), [Final, Provisional, Provisional, Provisional, Provisional, Final]);
    assert_eq!((report.state, report.final_on()), (Provisional, Some(day("2026-11-08"))));
    assert_eq!(report.nodes[1].completeness, Some(Completeness::CanGrow));
    assert_eq!(statement(&report, "bob").open_nodes, BTreeSet::from(["fr-1".to_owned()]));
    // Without a record of September it is not known whose ports are there.
    let unknown = assemble(&inputs(&directory, None), nodes());
    assert_eq!(states(&unknown), [Provisional, Provisional, Provisional, Provisional, Provisional, Final]);

    let on_the_eighth = ReportInputs { now: at("2026-11-08T00:11:00+08:00"), former: Some(&report), ..known };
    let overdue = assemble(&on_the_eighth, nodes()).revise(Some(report.clone()));
    assert_eq!(states(&overdue), [Final; 6]);
    assert_eq!((overdue.state, overdue.nodes[1].completeness), (Final, Some(Completeness::Overdue)));
    // Only the administrator gets another letter for that; what comes later is a correction.
    assert_eq!((statement(&overdue, "bob").rev, overdue.rev), (0, 1));
    fr.add(&block("2026-10-31", 86_400, lines("2026-10-31", &[444]))).unwrap();
    let late = ReportInputs { now: at("2026-11-20T00:11:00+08:00"), ..on_the_eighth };
    let corrected = assemble(&late, vec![gathered(hk), gathered(fr)]).revise(Some(overdue));
    let bob = statement(&corrected, "bob");
    assert_eq!((bob.rev, bob.billed_bytes, bob.history[0].billed_bytes, bob.history[0].state), (1, 3, 2, Final));
    assert_eq!((statement(&corrected, "alice").rev, corrected.rev), (0, 2));
}

#[test]
fn a_node_behind_the_main_nodes_zone_is_waited_for() {
    let directory = Directory::new(vec![user("alice", &[443])]);
    let mut la = NodeMonth::new("la-1", &directory, MONTH.parse().unwrap(), 1);
    for number in 1..=31 {
        let mut day = block(&format!("2026-10-{number:02}"), 86_400, Vec::new());
        day.seal.zone = "America/Los_Angeles".to_owned();
        if number == 31 {
            // 09:11 in Los Angeles: the month is over in Shanghai alone.
            day.seal.at = Some(at("2026-10-31T16:05:00Z").fixed_offset());
            day.seal.seconds_covered = 9 * 3_600;
        }
        la.add(&day).unwrap();
    }
    let report = assemble(&inputs(&directory, None), vec![gathered(la)]);
    assert_eq!((report.state, report.state_of(&report.statements[0])), (Finality::Provisional, Finality::Provisional));
    assert_eq!(report.nodes[0].days_growing, [day("2026-10-31")]);
    assert!(report.nodes[0].is_incomplete(0.0));
}

#[test]
fn a_report_of_an_older_version_is_read_and_is_the_same_month_still() {
    let directory = Directory::new(vec![user("alice", &[443])]);
    let first = report_of(&directory, FIRST, 100, true);
    let mut old = serde_json::to_value(&first).unwrap();
    for statement in old["statements"].as_array_mut().unwrap() {
        statement.as_object_mut().unwrap().remove("state").unwrap();
    }
    for node in old["nodes"].as_array_mut().unwrap() {
        node.as_object_mut().unwrap().remove("completeness").unwrap();
    }
    let old: MonthlyReport = serde_json::from_value(old).unwrap();
    assert_eq!(old.state_of(&old.statements[0]), Finality::Final);
    assert_eq!(report_of(&directory, LATER, 100, true).revise(Some(old)), first);
}

#[test]
fn a_correction_by_the_node_stays_named() {
    let directory = Directory::new(vec![user("alice", &[443])]);
    let first = report_of(&directory, FIRST, 100, true);
    let correction = Correction { day: day("2026-10-05"), seconds_covered_before: 86_400, seconds_covered: 82_800 };
    let mut second = report_of(&directory, LATER, 90, true);
    second.nodes[0].corrections.push(correction);
    let second = second.revise(Some(first));
    let third = report_of(&directory, LATER, 90, true).revise(Some(second.clone()));
    assert_eq!((third.nodes[0].corrections.as_slice(), &third), (&[correction][..], &second));
}

#[test]
fn what_was_gathered_before_is_used_and_named() {
    let directory = Directory::default();
    let kept = NodeOutcome { why: Some("no route to host".to_owned()), ..gathered(october("hk-1", &directory, &[])) };
    let report = assemble(&inputs(&directory, None), vec![kept]);
    assert_eq!(report.nodes[0].state, NodeState::Kept);
    assert_eq!(report.state, Finality::Final, "no day is missing");
    assert!(report.is_incomplete(0.0), "but the node was not reached");
    let kept_without_a_reason = NodeStatement { why: None, ..report.nodes[0].clone() };
    let used_with_a_reason = NodeStatement { state: NodeState::Gathered, ..report.nodes[0].clone() };
    assert!(kept_without_a_reason.is_incomplete(0.0) && used_with_a_reason.is_incomplete(0.0));
    assert!(!NodeStatement { why: None, ..used_with_a_reason }.is_incomplete(0.0));
}

#[test]
fn a_month_in_progress_counts_up_to_now() {
    let directory = Directory::default();
    let mut figures = NodeMonth::new("hk-1", &directory, MONTH.parse().unwrap(), 1);
    figures.add(&block("2026-10-01", 86_400, Vec::new())).unwrap();
    figures.add(&block("2026-10-02", 43_200, Vec::new())).unwrap();
    let now = at("2026-10-02T12:00:10+08:00");
    let report = assemble(&ReportInputs { now, ..inputs(&directory, None) }, vec![gathered(figures)]);
    assert_eq!(report.state, Finality::InProgress);
    assert_eq!(report.coverage, Coverage { seconds_covered: 129_600, seconds: 129_610 });
    assert!(report.nodes[0].days_missing.is_empty());
}

#[test]
fn a_billing_month_takes_its_days_from_two_calendar_months() {
    let directory = Directory::default();
    let mut figures = NodeMonth::new("hk-1", &directory, MONTH.parse().unwrap(), 15);
    for (date, bytes) in [("2026-10-14", 1), ("2026-10-15", 20), ("2026-11-14", 300), ("2026-11-15", 4_000)] {
        figures.add(&block(date, 86_400, vec![line(date, 443, None, (bytes, 0), 0)])).unwrap();
    }
    let inputs = ReportInputs { month_start_day: 15, now: at("2026-11-15T00:11:00+08:00"), ..inputs(&directory, None) };
    let report = assemble(&inputs, vec![gathered(figures)]);
    assert_eq!((report.first_day, report.last_day), (day("2026-10-15"), day("2026-11-14")));
    assert_eq!(report.statements[0].billed_bytes, 320);
    assert_eq!(report.nodes[0].days_missing.len(), 29);
}

#[test]
fn a_node_in_another_zone_is_named_and_covers_its_own_days() {
    let directory = Directory::default();
    let mut figures = NodeMonth::new("fr-1", &directory, MONTH.parse().unwrap(), 1);
    for number in 1..=31 {
        let mut block = block(&format!("2026-10-{number:02}"), 86_400, Vec::new());
        block.seal.zone = "Europe/Paris".to_owned();
        // On the 25th the clock goes back, which makes the day 25 hours long.
        if number == 25 {
            (block.seal.seconds_in_day, block.seal.seconds_covered) = (90_000, 90_000);
        }
        figures.add(&block).unwrap();
    }
    let inputs = ReportInputs { now: at("2026-11-02T00:00:00Z"), ..inputs(&directory, None) };
    let report = assemble(&inputs, vec![gathered(figures)]);
    assert_eq!(report.nodes[0].other_zone.as_deref(), Some("Europe/Paris"));
    assert_eq!(report.coverage, Coverage { seconds_covered: 745 * 3_600, seconds: 745 * 3_600 });
}

#[test]
fn a_bucket_over_the_months_edge_is_named_with_both_ends() {
    let directory = Directory::default();
    let late = |start: &str, end: &str| {
        let parse = |text| DateTime::parse_from_rfc3339(text).unwrap();
        Some(LateBucket { start: parse(start), end: parse(end), bytes: 77 })
    };
    let mut within = block("2026-10-10", 86_400, Vec::new());
    within.seal.late = late("2026-10-10T23:00:00+08:00", "2026-10-11T00:30:00+08:00");
    let mut over = block("2026-10-31", 86_400, Vec::new());
    over.seal.late = late("2026-10-31T23:00:00+08:00", "2026-11-01T00:05:00+08:00");
    let report =
        assemble(&inputs(&directory, None), vec![gathered(october("hk-1", &directory, &[within, over.clone()]))]);
    assert_eq!(report.nodes[0].late, over.seal.late);
    over.seal.late = late("2026-10-31T23:00:00+08:00", "2026-11-01T00:00:00+08:00");
    let report = assemble(&inputs(&directory, None), vec![gathered(october("hk-1", &directory, &[over]))]);
    assert_eq!(report.nodes[0].late, None, "it ends with the month");
    assert_eq!(report.nodes[0].quality, BTreeMap::from([(Quality::Exact, 31 * 24)]));
}

#[test]
fn the_month_before_is_compared() {
    let directory = Directory::new(vec![user("alice", &[443]), user("bob", &[80])]);
    let line = |user: &str, bytes| {
        let total = Counters { tcp_in_bytes: bytes, ..Counters::default() };
        MonthLine::new(
            "2026-09".parse().unwrap(),
            Some(user.to_owned()),
            vec![443],
            total,
            ByNode::default(),
            Some(1.0),
        )
    };
    let seal = MonthSeal { v: 1, kind: Kind::Seal, month: "2026-09".parse().unwrap(), lines: 1, sha256: String::new() };
    let before = MonthBlock { lines: vec![line("alice", 500)], seal };
    let inputs = ReportInputs { before: Some(&before), ..inputs(&directory, None) };
    let report = assemble(&inputs, vec![gathered(october("hk-1", &directory, &[]))]);
    assert_eq!(statement(&report, "alice").billed_bytes_before, Some(500));
    assert_eq!(statement(&report, "bob").billed_bytes_before, Some(0));
}

#[test]
fn lies_do_not_overflow_and_harm_nobody_else() {
    let directory = Directory::default();
    let mut liar = NodeMonth::new("hk-1", &directory, MONTH.parse().unwrap(), 1);
    let lie = block("2026-10-01", 86_400, vec![line("2026-10-01", 443, None, (u64::MAX, u64::MAX), 0)]);
    assert!(matches!(liar.add(&lie), Err(SumError::Implausible { .. })));
    assert!(liar.seal(day("2026-10-01")).is_none());

    // The most that a node may claim, and enough nodes that claim it: 31 * 2^57 is a quarter of 2^64.
    let busiest: Vec<_> = (1..=31)
        .map(|number| {
            let date = format!("2026-10-{number:02}");
            // `line` adds three packets.
            block(&date, 86_400, vec![line(&date, 443, None, ((1 << 57) - 3, 0), 0)])
        })
        .collect();
    let nodes = ["a", "b", "c", "d", "e"].map(|name| gathered(october(name, &directory, &busiest)));
    let report = assemble(&inputs(&directory, None), nodes.into());
    let taken: Vec<_> = report.nodes.iter().map(|node| node.why.is_none()).collect();
    assert_eq!(taken, [true, true, true, true, false]);
    assert_eq!(report.total().bytes(), 4 * 31 * ((1 << 57) - 3));
}

#[test]
fn a_day_is_added_once() {
    let directory = Directory::default();
    let mut figures = october("hk-1", &directory, &[]);
    let again = block("2026-10-01", 86_400, vec![line("2026-10-01", 443, None, (1, 1), 1)]);
    assert_eq!(figures.add(&again), Err(SumError::Twice { day: day("2026-10-01") }));
}

#[test]
fn days_whose_bytes_are_in_an_earlier_one_are_named() {
    let directory = Directory::default();
    let mut covered = block("2026-10-01", 86_400, Vec::new());
    covered.seal.buckets_sealed = 0;
    let mut of_an_old_version = block("2026-10-02", 86_400, Vec::new());
    (of_an_old_version.seal.buckets_sealed, of_an_old_version.seal.buckets_expected) = (0, 0);
    let hk = october("hk-1", &directory, &[covered, of_an_old_version]);
    let report = assemble(&inputs(&directory, None), vec![gathered(hk)]);
    assert_eq!(report.nodes[0].days_filed_earlier, [day("2026-10-01")]);
}

#[test]
fn who_is_known_elsewhere_is_not_concerned_by_an_open_node() {
    let directory = Directory::new(vec![user("new", &[443]), user("gone", &[444])]);
    let new = block("2026-10-05", 86_400, vec![line("2026-10-05", 443, None, (1, 0), 0)]);
    let nothing = NodeMonth::new("fr-1", &directory, MONTH.parse().unwrap(), 1);
    let nodes = vec![gathered(october("hk-1", &directory, &[new])), gathered(nothing)];
    let before = september(&[("gone", &["hk-1"])]);
    let report = assemble(&ReportInputs { before: Some(&before), ..inputs(&directory, None) }, nodes);
    for name in ["new", "gone"] {
        assert_eq!(report.state_of(statement(&report, name)), Finality::Final, "{name}");
    }
}

#[test]
fn a_node_that_was_whole_stays_so_while_it_cannot_be_reached() {
    let directory = Directory::default();
    // The last ten minutes of the month have no bucket, so that only a later day shows that none will come.
    let mut last = block("2026-10-31", 85_800, Vec::new());
    last.seal.gaps = vec![Gap {
        start: at("2026-10-31T23:50:00+08:00").fixed_offset(),
        end: at("2026-11-01T00:00:00+08:00").fixed_offset(),
        interface: Gap::EVERY_INTERFACE.to_owned(),
        why: Gap::NO_BUCKET.to_owned(),
    }];
    let without_november = |why: Option<&str>| NodeOutcome {
        why: why.map(str::to_owned),
        ..gathered(october("hk-1", &directory, std::slice::from_ref(&last)))
    };
    let completeness = |former: Option<&MonthlyReport>, outcome: NodeOutcome<'_>| {
        let now = at("2026-11-02T00:11:00+08:00");
        assemble(&ReportInputs { now, former, ..inputs(&directory, None) }, vec![outcome]).nodes[0].completeness
    };
    let mut with_november = october("hk-1", &directory, std::slice::from_ref(&last));
    with_november.add(&block("2026-11-01", 3_600, Vec::new())).unwrap();
    let former = assemble(&inputs(&directory, None), vec![gathered(with_november)]);
    assert_eq!(former.nodes[0].completeness, Some(Completeness::Whole));
    let down = Some("connection refused");
    assert_eq!(completeness(Some(&former), without_november(down)), Some(Completeness::Whole));
    assert_eq!(completeness(None, without_november(down)), Some(Completeness::CanGrow));
    assert_eq!(completeness(Some(&former), without_november(None)), Some(Completeness::CanGrow));
}

#[test]
fn a_month_is_over_with_its_last_second_and_final_at_the_moment_that_was_named() {
    let directory = Directory::default();
    let at_moment = |now: DateTime<Utc>, former: Option<&MonthlyReport>| {
        let nothing = NodeMonth::new("fr-1", &directory, MONTH.parse().unwrap(), 1);
        assemble(&ReportInputs { now, former, ..inputs(&directory, None) }, vec![gathered(nothing)])
    };
    let (end, second) = (at("2026-11-01T00:00:00+08:00"), chrono::TimeDelta::seconds(1));
    assert_eq!(at_moment(end - second, None).state, Finality::InProgress);
    let first = at_moment(end, None);
    assert_eq!(first.state, Finality::Provisional);
    let named = first.final_at.unwrap().to_utc();
    assert_eq!(at_moment(named - second, Some(&first)).state, Finality::Provisional);
    assert_eq!(at_moment(named, Some(&first)).state, Finality::Final);
}

#[test]
fn a_day_was_counted_if_a_bucket_began_on_it_or_reached_into_it() {
    let directory = Directory::default();
    for (sealed, covered, is_counted) in [(0, 0, false), (24, 0, true), (0, 60, true)] {
        let mut figures = NodeMonth::new("hk-1", &directory, MONTH.parse().unwrap(), 1);
        let mut added = block("2026-10-05", covered, Vec::new());
        added.seal.buckets_sealed = sealed;
        figures.add(&added).unwrap();
        let expected = is_counted.then(|| day("2026-10-05"));
        assert_eq!(figures.newest_counted_day(), expected, "{sealed} {covered}");
        assert_eq!(figures.newest_counted_beside(day("2026-10-31")), expected, "{sealed} {covered}");
        assert_eq!(figures.newest_counted_beside(day("2026-11-01")), None);
        assert_eq!((figures.node(), figures.newest_seal()), ("hk-1", Some(&added.seal)));
        let outcome = gathered(figures);
        assert_eq!((outcome.seal(day("2026-10-05")), outcome.seal(day("2026-10-06"))), (Some(&added.seal), None));
    }
}

#[test]
fn a_node_has_at_most_65_536_pairs_of_a_port_and_a_user_in_a_month() {
    let directory = Directory::default();
    let all = (0..=u16::MAX).map(|port| line("2026-10-05", port, None, (1, 0), 0)).collect();
    let all = block("2026-10-05", 86_400, all);
    let known = block("2026-10-06", 86_400, vec![line("2026-10-06", 443, None, (1, 0), 0)]);
    let one_more = block("2026-10-07", 86_400, vec![line("2026-10-07", 443, Some("ada"), (1, 0), 0)]);
    let expected = Err(SumError::TooManyPairs { day: day("2026-10-07") });
    let mut figures = NodeMonth::new("hk-1", &directory, MONTH.parse().unwrap(), 1);
    assert_eq!((figures.add(&all), figures.add(&known), figures.add(&one_more)), (Ok(()), Ok(()), expected));
}

#[test]
fn what_was_granted_and_what_was_used_before_count_for_their_user_alone() {
    let limited = User { quota_bytes: Some(1_000), ..user("ada", &[443]) };
    let directory = Directory::new(vec![limited, user("bob", &[444])]);
    let mut report = assemble(&inputs(&directory, None), vec![gathered(october("hk-1", &directory, &[]))]);
    let plain = serde_json::to_value(&report).unwrap();
    let granted = BTreeMap::from([("ada".to_owned(), 500), ("bob".to_owned(), 9)]);
    report.add_allowances(&granted, |user| if user == "ada" { 70 } else { 0 });
    let ada = statement(&report, "ada");
    assert_eq!(
        (ada.quota_bytes, ada.granted_bytes, ada.used_before_bytes, ada.used_bytes()),
        (Some(1_500), 500, 70, 70)
    );
    let bob = statement(&report, "bob");
    assert_eq!((bob.quota_bytes, bob.granted_bytes, bob.used_before_bytes), (None, 0, 0), "he has no quota to raise");
    // What is zero or false is not written.
    let fields = |report: &serde_json::Value, user: usize| {
        let statement = report["statements"][user].clone();
        ["granted_bytes", "used_before_bytes", "draft"].map(|field| statement.get(field).cloned())
    };
    assert_eq!(fields(&plain, 0), [None, None, None]);
    let written = serde_json::to_value(&report).unwrap();
    assert_eq!(fields(&written, 0), [Some(500.into()), Some(70.into()), None]);
    report.statements[1].draft = true;
    assert_eq!(fields(&serde_json::to_value(&report).unwrap(), 1), [None, None, Some(true.into())]);
}

#[test]
fn what_an_older_version_did_not_say_of_a_node_is_taken_from_the_node_of_that_name() {
    let directory = Directory::default();
    let mut growing = block("2026-10-31", 32_400, Vec::new());
    growing.seal.at = Some(at("2026-10-31T09:00:05+08:00").fixed_offset());
    let nodes = || {
        let growing = std::slice::from_ref(&growing);
        vec![gathered(october("hk-1", &directory, &[])), gathered(october("la-1", &directory, growing))]
    };
    let report = assemble(&inputs(&directory, None), nodes());
    assert_ne!(report.nodes[0].completeness, report.nodes[1].completeness);
    let mut old = serde_json::to_value(&report).unwrap();
    for node in old["nodes"].as_array_mut().unwrap() {
        node.as_object_mut().unwrap().remove("completeness").unwrap();
    }
    let old: MonthlyReport = serde_json::from_value(old).unwrap();
    assert_eq!(assemble(&inputs(&directory, None), nodes()).revise(Some(old)), report);
}
