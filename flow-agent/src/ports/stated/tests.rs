use std::collections::BTreeMap;

use super::*;
use crate::ports::PortOwners;
use crate::ports::wanted::SourceReport;

fn quota(bytes: u64, first_day: Option<u8>) -> Detail {
    let period = first_day.map_or(QuotaPeriod::Unlimited, |day| QuotaPeriod::Month { first_day: Some(day) });
    Detail { quota: Some(PanelQuota { bytes, period }), ..Detail::default() }
}

fn wanted(ports: &[(u16, Option<&str>)], file: &[(u16, &str)], details: Vec<(u16, Detail)>) -> Wanted {
    let file: PortOwners = file.iter().map(|(port, owner)| (*port, Some((*owner).to_owned()))).collect();
    Wanted {
        ports: ports.iter().map(|(port, owner)| (*port, owner.map(str::to_owned))).collect(),
        listening: BTreeSet::new(),
        files: BTreeMap::from([("/mudb.json".into(), file)]),
        sources: Vec::new(),
        details: details.into_iter().collect(),
        warnings: Vec::new(),
    }
}

#[test]
fn a_limit_is_its_owners_and_a_range_has_it_once() {
    let file = [(443, "ada"), (444, "ada"), (8388, "bob"), (9000, "eve")];
    let ports = [(443, Some("ada")), (444, Some("ada")), (8388, Some("other")), (9000, Some("eve")), (1, None)];
    let details = vec![
        (443, quota(5, None)),
        (444, quota(5, None)),
        (8388, quota(7, None)),
        (9000, quota(9, Some(15))),
        (1, quota(1, None)),
    ];
    let (limits, left_out) = stated(&wanted(&ports, &file, details), 1, Tz::UTC);
    let ada = StatedLimit { quota_bytes: Some(5), expires: None };
    assert_eq!(limits, StatedLimits::from([("ada".to_owned(), ada)]));
    assert_eq!(left_out, BTreeSet::from(["eve".to_owned()]));
}

#[test]
fn who_expires_at_midnight_has_the_day_before() {
    let expires = |at: &str| Detail { expires_at: Some(at.parse().unwrap()), ..Detail::default() };
    let day_of = |at: &str| {
        let wanted = wanted(&[(443, Some("ada"))], &[(443, "ada")], vec![(443, expires(at))]);
        stated(&wanted, 1, Tz::Asia__Shanghai).0["ada"].expires.unwrap().to_string()
    };
    assert_eq!(day_of("2026-12-30T16:00:00Z"), "2026-12-30");
    assert_eq!(day_of("2026-12-30T16:00:01Z"), "2026-12-31");
}

#[test]
fn a_limit_outlives_the_file_that_states_it_only_while_that_file_cannot_be_read() {
    let limit = |bytes| StatedLimit { quota_bytes: Some(bytes), expires: None };
    let before = StatedLimits::from([("ada".to_owned(), limit(5)), ("bob".to_owned(), limit(7))]);
    // Ada's file is torn; Bob's is not, and states nothing about him any more.
    let source = |path: &str, is_last_good, is_lacking| SourceReport {
        path: path.into(),
        is_last_good,
        is_lacking,
        ports: 1,
        owners: 1,
        complaints: 0,
        modified_at: None,
    };
    let list = |port, owner: &str| PortOwners::from([(port, Some(owner.to_owned()))]);
    let mut wanted = wanted(&[(443, Some("ada")), (8388, Some("bob"))], &[], Vec::new());
    wanted.files = BTreeMap::from([("/a.json".into(), list(443, "ada")), ("/b.json".into(), list(8388, "bob"))]);
    wanted.sources = vec![source("/a.json", true, false), source("/b.json", false, false)];
    let of_ada = StatedLimits::from([("ada".to_owned(), limit(5))]);
    assert_eq!(in_force(&before, StatedLimits::new(), &wanted), of_ada);
    // Another file states something about her now.
    let raised = StatedLimits::from([("ada".to_owned(), limit(9))]);
    assert_eq!(in_force(&before, raised.clone(), &wanted), raised);
    wanted.sources[0] = source("/a.json", false, false);
    assert_eq!(in_force(&before, StatedLimits::new(), &wanted), StatedLimits::new());
    wanted.sources[0] = source("/c.json", false, true);
    assert_eq!(in_force(&before, StatedLimits::new(), &wanted), before);
}
