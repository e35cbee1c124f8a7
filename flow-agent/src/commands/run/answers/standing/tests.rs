use std::sync::Arc;

use chrono::NaiveDate;

use super::*;
use crate::config;
use crate::ledger::billing::Billed;
use crate::ledger::record::Quality;
use crate::ledger::user::UsedBefore;
use crate::testing::fixtures;

const GIB: u64 = 1 << 30;

/// 100 bytes in, 300 out.
const COUNTED: Counters = Counters {
    tcp_in_bytes: 60,
    tcp_in_packets: 1,
    tcp_out_bytes: 300,
    tcp_out_packets: 1,
    udp_in_bytes: 40,
    udp_in_packets: 1,
    udp_out_bytes: 0,
    udp_out_packets: 0,
};

fn about(billed: Billed, refused: &[&str]) -> About {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = "node = \"hk-1\"\nstate_dir = \"/state\"\n[limits]\nwarn = [80, 100]\n";
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    let mut config = config::load(Some(file.path()), None).unwrap();
    config.report.billed = billed;
    About {
        config: Arc::new(config),
        users: Arc::default(),
        complaints: Vec::new(),
        problems: Vec::new(),
        refused: refused.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn user(quota: u64, on_quota: OnQuota) -> User {
    User { name: "ada".to_owned(), quota_bytes: Some(quota), on_quota, ..User::default() }
}

fn stands(about: &About, user: &User) -> (Option<u64>, u64, QuotaStanding) {
    let dates = Dates::of(chrono_tz::Asia::Hong_Kong, 1, fixtures::instant("2026-10-05T14:30:00+08:00").to_utc());
    let allowances = Allowances {
        granted: BTreeMap::from([("granted".to_owned(), 5 * GIB)]),
        first_counted: Some("2026-10".parse().unwrap()),
    };
    let UserStanding { quota, used, state } = of(about, &allowances, dates, user, COUNTED);
    (quota, used, state)
}

#[test]
fn what_is_billed_counts_for_the_quota_with_what_was_used_before_and_what_was_granted() {
    let both = about(Billed::Both, &[]);
    assert_eq!(stands(&both, &user(1_000, OnQuota::Count)), (Some(1_000), 400, QuotaStanding::Open));
    let out = about(Billed::Out, &[]);
    assert_eq!(stands(&out, &user(1_000, OnQuota::Count)), (Some(1_000), 300, QuotaStanding::Open));
    let before = User { used: Some(UsedBefore { bytes: 400, month: None }), ..user(1_000, OnQuota::Count) };
    assert_eq!(stands(&both, &before), (Some(1_000), 800, QuotaStanding::Warned));
    let granted = User { name: "granted".to_owned(), ..before };
    assert_eq!(stands(&both, &granted), (Some(5 * GIB + 1_000), 800, QuotaStanding::Open));
}

#[test]
fn a_user_is_cut_when_the_quota_is_used_up_or_the_kernel_refuses() {
    let kernel_refuses = about(Billed::Both, &["ada"]);
    let kernel_lets_pass = about(Billed::Both, &[]);
    // 400 of 401 bytes are used. The kernel refuses if the one that is left is too little for a packet.
    assert_eq!(stands(&kernel_refuses, &user(401, OnQuota::Drop)).2, QuotaStanding::Cut);
    assert_eq!(stands(&kernel_lets_pass, &user(401, OnQuota::Drop)).2, QuotaStanding::Warned);
    assert_eq!(stands(&kernel_lets_pass, &user(400, OnQuota::Drop)).2, QuotaStanding::Cut);
    assert_eq!(stands(&kernel_lets_pass, &user(400, OnQuota::Count)).2, QuotaStanding::Warned);
}

#[test]
fn a_user_expires_at_the_end_of_the_last_day() {
    let about = about(Billed::Both, &["ada"]);
    let expires = |day| User { expires: NaiveDate::from_ymd_opt(2026, 10, day), ..user(10_000, OnQuota::Count) };
    assert_eq!(stands(&about, &expires(4)).2, QuotaStanding::Expired);
    // On the last day the user is refused because of the quota, not because of the date.
    assert_eq!(stands(&about, &expires(5)).2, QuotaStanding::Cut);
}

#[test]
fn counting_began_in_the_oldest_month_of_the_daily_log_that_was_not_imported() {
    let directory = fixtures::dir();
    let state = StateDir::new(directory.path());
    let put = |day: &str, quality| {
        let mut made = fixtures::day(day, 3_600, 100);
        made.seal.quality = [(quality, 1)].into();
        crate::store::table::put_days(&state.lock_daily().unwrap(), vec![made], false).unwrap();
    };
    put("2026-07-05", Quality::Import);
    put("2026-09-30", Quality::Exact);
    let run = state.lock_run().unwrap();
    let (mut journal, _) = crate::store::journal::Journal::open(&run).unwrap();
    journal.append(&mut fixtures::bucket("2026-10-05T12:00:00+08:00", "one", 0, 100)).unwrap();
    let dates = Dates::of(chrono_tz::Asia::Hong_Kong, 1, fixtures::instant("2026-10-05T14:30:00+08:00").to_utc());
    let before = User { used: Some(UsedBefore { bytes: 400, month: None }), ..user(1_000, OnQuota::Count) };
    let allowances = Allowances::read(&state, dates, &[before], &mut FirstCounted::default()).unwrap();
    assert_eq!(allowances.first_counted, Some("2026-09".parse().unwrap()));
}
