//! Sample months that use everything a letter can contain, for the tests and for checking templates.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, FixedOffset, NaiveDate, TimeZone as _};
use rust_decimal::Decimal;

use crate::ledger::billing::{Billed, Money, Price};
use crate::ledger::counters::Counters;
use crate::ledger::month::Month;
use crate::ledger::record::{Gap, LateBucket, Quality};
use crate::ledger::statement::{
    Completeness, Correction, Coverage, Finality, MonthlyReport, NodeState, NodeStatement, PriorRevision, Statement,
};

pub(super) const GIB: u64 = 1 << 30;

const HONG_KONG: FixedOffset = FixedOffset::east_opt(8 * 3_600).expect("eight hours are less than a day");

/// A time in October 2026 or after it; `day` 32 is the first of November.
pub(super) fn at(day: u32, hour: u32, minute: u32) -> DateTime<FixedOffset> {
    let (month, day) = if day > 31 { (11, day - 31) } else { (10, day) };
    let time = HONG_KONG.with_ymd_and_hms(2026, month, day, hour, minute, 0);
    time.single().expect("an offset that does not change has every time once")
}

fn october() -> Month {
    Month::new(2026, 10).expect("the year has an October")
}

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 10, day).expect("October has 31 days")
}

pub(super) fn node(name: &str, is_missing: bool) -> NodeStatement {
    let gap = Gap {
        start: at(5, 13, 0),
        end: at(5, 13, 10),
        interface: "eth0".to_owned(),
        why: "interface was <deleted>".to_owned(),
    };
    NodeStatement {
        name: name.to_owned(),
        state: if is_missing { NodeState::Missing } else { NodeState::Gathered },
        why: is_missing.then(|| "scp failed (<b>connection</b> refused)".to_owned()),
        other_zone: None,
        coverage: Coverage { seconds_covered: if is_missing { 0 } else { 2_677_800 }, seconds: 2_678_400 },
        total: if is_missing {
            Counters::default()
        } else {
            Counters { tcp_out_bytes: 3 * GIB, ..Counters::default() }
        },
        completeness: Some(if is_missing { Completeness::CanGrow } else { Completeness::Whole }),
        days_missing: Vec::new(),
        days_growing: Vec::new(),
        corrections: Vec::new(),
        days_refused: Vec::new(),
        days_filed_earlier: Vec::new(),
        quality: BTreeMap::from([(Quality::Exact, 743), (Quality::Reset, 1)]),
        gaps: if is_missing { Vec::new() } else { vec![gap] },
        gaps_omitted: 0,
        late: None,
    }
}

pub(super) fn statement_of(user: &str) -> Statement {
    let total = Counters { tcp_in_bytes: GIB, tcp_out_bytes: 2 * GIB, udp_out_bytes: GIB / 2, ..Counters::default() };
    let mut days = vec![(0, 0); 31];
    (days[0], days[4]) = ((GIB / 2, GIB), (GIB / 2, GIB + GIB / 2));
    Statement {
        user: Some(user.to_owned()),
        ports: vec![443, 8000, 8001, 8002],
        total,
        by_node: [("hk-1".to_owned(), total)].into_iter().collect(),
        days,
        billed_bytes: 3 * GIB + GIB / 2,
        quota_bytes: Some(3 * GIB),
        granted_bytes: 0,
        used_before_bytes: 0,
        money: Some(yuan(35)),
        billed_bytes_before: Some(2 * GIB),
        only_on: BTreeSet::new(),
        state: Some(Finality::Provisional),
        open_nodes: BTreeSet::from(["fr-1".to_owned()]),
        rev: 0,
        draft: false,
        history: Vec::new(),
    }
}

fn yuan(hundredths: i64) -> Money {
    Money { amount: Decimal::new(hundredths, 2), currency: "CNY".to_owned() }
}

/// An earlier revision with 3 GiB.
pub(super) fn prior_revision(state: Finality) -> PriorRevision {
    PriorRevision {
        rev: 0,
        at: at(32, 0, 11),
        state,
        total: Counters::default(),
        billed_bytes: 3 * GIB,
        money: Some(yuan(30)),
    }
}

/// A month in which one node is missing.
pub(super) fn report_of(statement: Statement) -> MonthlyReport {
    MonthlyReport {
        v: 1,
        month: october(),
        first_day: day(1),
        last_day: day(31),
        zone: chrono_tz::Asia::Shanghai,
        made_at: at(32, 0, 11),
        first_made_at: Some(at(32, 0, 11)),
        final_at: Some(at(39, 0, 0)),
        state: Finality::Provisional,
        rev: 0,
        draft: false,
        billed: Billed::Both,
        price: Some(Price { per: GIB, amount: Decimal::new(10, 2), currency: "CNY".to_owned() }),
        coverage: Coverage { seconds_covered: 2_677_800, seconds: 2 * 2_678_400 },
        nodes: vec![node("hk-1", false), node("fr-1", true)],
        statements: vec![statement],
    }
}

/// Reports that cover every branch of the templates: one with many problems and a correction, one in progress, and one
/// without problems.
pub(super) fn every_kind() -> Vec<MonthlyReport> {
    let mut corrected =
        report_of(Statement { rev: 1, history: vec![prior_revision(Finality::Provisional)], ..statement_of("alice") });
    corrected.rev = 1;
    let late = LateBucket { start: at(31, 23, 0), end: at(32, 1, 0), bytes: GIB };
    let of_all =
        |why: &str| Gap { start: at(6, 23, 0), end: at(7, 1, 0), interface: "*".to_owned(), why: why.to_owned() };
    corrected.nodes.push(NodeStatement {
        gaps: vec![of_all("no bucket"), of_all("the lines do not match the seal's sha256")],
        days_missing: vec![day(3), day(4)],
        completeness: Some(Completeness::CanGrow),
        days_growing: vec![day(31)],
        corrections: vec![Correction { day: day(7), seconds_covered_before: 86_400, seconds_covered: 82_800 }],
        days_refused: vec![day(8)],
        quality: [Quality::Reset, Quality::Restart, Quality::Clock, Quality::Import].map(|quality| (quality, 2)).into(),
        gaps_omitted: 7,
        late: Some(late),
        other_zone: Some("Europe/Paris".to_owned()),
        ..node("us-1", false)
    });
    corrected.nodes.push(NodeStatement {
        days_missing: vec![day(12), day(13), day(14)],
        completeness: Some(Completeness::CanGrow),
        ..node("jp-1", false)
    });
    corrected.statements[0].open_nodes.insert("us-1".to_owned());
    let mut begun = report_of(Statement { state: Some(Finality::InProgress), ..statement_of("alice") });
    (begun.state, begun.made_at, begun.first_made_at) = (Finality::InProgress, at(5, 15, 0), None);
    begun.final_at = None;
    let state = Some(Finality::Final);
    let open_nodes = BTreeSet::new();
    let nobodys = Statement { user: None, ports: vec![4433], state, open_nodes, ..statement_of("") };
    let idle = Statement {
        ports: Vec::new(),
        total: Counters::default(),
        by_node: Default::default(),
        days: vec![(0, 0); 31],
        billed_bytes: 0,
        quota_bytes: None,
        granted_bytes: 0,
        used_before_bytes: 0,
        money: None,
        billed_bytes_before: None,
        state: Some(Finality::Final),
        open_nodes: BTreeSet::new(),
        ..statement_of("alice")
    };
    // The idle one was counted nowhere, the other on a node without a gap.
    let whole = Coverage { seconds_covered: 2_678_400, seconds: 2_678_400 };
    let node = NodeStatement { coverage: whole, quality: BTreeMap::new(), gaps: Vec::new(), ..node("hk-1", false) };
    let mut plain = report_of(idle);
    plain.statements.push(nobodys);
    plain.final_at = None;
    (plain.state, plain.price, plain.coverage, plain.nodes) = (Finality::Final, None, whole, vec![node]);
    vec![corrected, begun, plain]
}
