use super::*;
use crate::ledger::block::DayBlock;
use crate::ledger::record::{DayLine, Quality};
use crate::ledger::user::UsedBefore;
use crate::store::journal::Journal;
use crate::store::table::put_days;
use crate::testing::fixtures::{bucket, day_seal, dir, instant};

#[test]
fn the_port_of_the_ssh_session_is_the_servers() {
    assert_eq!(server_port("203.0.113.9 51234 198.51.100.7 2222"), Some(2222));
    assert_eq!([server_port(""), server_port("203.0.113.9 51234")], [None, None]);
}

/// A backend that enforces limits by readings.
#[derive(Default)]
struct ByReadings {
    owners: PortOwners,
    told: Vec<Vec<UserBudget>>,
    has_waiting: bool,
}

impl GatedBackend for ByReadings {
    fn has_waiting(&self) -> bool {
        self.has_waiting
    }
    fn owners(&self) -> &PortOwners {
        &self.owners
    }
    fn sealed_counters(&self, _port: u16) -> Counters {
        Counters::default()
    }
    fn enforce(&mut self, budgets: &[UserBudget], _now: Moment) -> Result<(), BackendError> {
        self.told.push(budgets.to_vec());
        Ok(())
    }
    fn enforce_again(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        self.enforce(budgets, now)
    }
    fn enforce_again_after(&self) -> Option<Duration> {
        self.told.last().filter(|budgets| !budgets.is_empty()).map(|_| Duration::from_millis(200))
    }
}

/// The configuration of a node that keeps its log in `directory`.
fn config_in(directory: &std::path::Path) -> Config {
    let file = directory.join("config.toml");
    let text = format!("node = \"hk-1\"\ntimezone = \"UTC\"\nstate_dir = {:?}\n", directory.join("state"));
    std::fs::write(&file, text).unwrap();
    crate::config::load(Some(&file), None).unwrap()
}

#[test]
fn where_readings_cut_the_same_budgets_are_told_again_soon_until_something_changes() {
    let directory = tempfile::tempdir().unwrap();
    let config = config_in(directory.path());
    let ada = User { name: "ada".into(), quota_bytes: Some(5), on_quota: OnQuota::Drop, ..User::default() };
    let owners = PortOwners::from([(8388, Some("ada".to_owned())), (22, Some("ada".to_owned()))]);
    let mut counting = ByReadings { owners, ..ByReadings::default() };
    let mut limits = NodeLimits::new(&config);
    let begun = clock::now();
    limits.attend(&config, std::slice::from_ref(&ada), &mut counting, begun);
    let quota = counting.told[0][0].quota.unwrap();
    assert_eq!((counting.told[0][0].ports.clone(), quota.limit), ([8388].into(), Limit::Both(5)));
    // Long before the minute after which budgets are computed anew.
    let soon = limits.at();
    assert!((after(begun, Duration::from_millis(200))..after(begun, Duration::from_secs(50))).contains(&soon));
    // The users are not examined here: that nobody is limited any more must be announced as a change.
    limits.attend(&config, &[], &mut counting, Moment { boot_ns: soon, ..begun });
    assert_eq!(counting.told[1], counting.told[0]);
    limits.changed();
    assert_eq!(limits.at(), 0);
    limits.attend(&config, &[], &mut counting, clock::now());
    assert_eq!((counting.told.len(), counting.told[2].len()), (3, 0));
    limits.attend(&config, &[], &mut counting, clock::now());
    assert_eq!((counting.told.len(), limits.at()), (3, u64::MAX));
}

/// The daily log of that day, made two days later, on which `acct-8388` received `bytes`.
fn put(state: &StateDir, day: &str, quality: Quality, bytes: u64) {
    let mut seal = day_seal(day, 3_600);
    seal.quality = [(quality, 1)].into();
    seal.at = Some(instant(&format!("{day}T12:00:00Z")) + chrono::TimeDelta::days(2));
    let counters = Counters { tcp_in_bytes: bytes, tcp_in_packets: 1, ..Counters::default() };
    let lines = vec![DayLine::new(seal.day, 8388, Some("acct-8388".to_owned()), counters)];
    put_days(&state.lock_daily().unwrap(), vec![DayBlock { lines, seal }], false).unwrap();
}

#[test]
fn days_whose_hours_were_deleted_count_for_the_quota_and_for_the_month_in_which_counting_began() {
    let directory = dir();
    let config = config_in(directory.path());
    let state = StateDir::new(&config.state_dir);
    // A legacy log of August was imported. Of the hours, `retention.hours` has left only those of the 13th.
    put(&state, "2026-08-05", Quality::Import, 70_000);
    put(&state, "2026-10-01", Quality::Exact, 5_000);
    put(&state, "2026-10-12", Quality::Exact, 600);
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    journal.append(&mut bucket("2026-10-13T08:00:00Z", "one", 0, 20)).unwrap();
    let used = Some(UsedBefore { bytes: 1_000, month: None });
    let user =
        User { name: "acct-8388".into(), quota_bytes: Some(10_000), on_quota: OnQuota::Drop, used, ..User::default() };
    let limit_at = |now: &str| {
        let owners = PortOwners::from([(8388, Some("acct-8388".to_owned()))]);
        let mut counting = ByReadings { owners, ..ByReadings::default() };
        let now = Moment { wall: instant(now).to_utc(), ..clock::now() };
        NodeLimits::new(&config).attend(&config, std::slice::from_ref(&user), &mut counting, now);
        counting.told[0][0].quota.unwrap().limit
    };
    // 10,000 less 5,000, 600 and 20 that were counted, and 1,000 that were used before.
    assert_eq!(limit_at("2026-10-13T09:30:00Z"), Limit::Both(3_380));
    // In November only hours of November are left. What was used before belongs to October.
    std::fs::remove_dir_all(state.hourly_dir()).unwrap();
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    journal.append(&mut bucket("2026-11-13T08:00:00Z", "two", 0, 30)).unwrap();
    assert_eq!(limit_at("2026-11-13T09:30:00Z"), Limit::Both(9_970));
}

#[test]
fn while_the_log_cannot_be_written_or_read_the_last_limits_are_enforced_by_readings() {
    let directory = dir();
    let config = config_in(directory.path());
    let user =
        |name: &str| User { name: name.into(), quota_bytes: Some(5), on_quota: OnQuota::Drop, ..User::default() };
    let users = [user("ada"), user("bob")];
    let owners = PortOwners::from([(8388, Some("ada".to_owned())), (443, Some("bob".to_owned()))]);
    let mut counting = ByReadings { owners, ..ByReadings::default() };
    let mut limits = NodeLimits::new(&config);
    let begun = clock::now();
    limits.attend(&config, &users, &mut counting, begun);
    assert_eq!(counting.told[0].len(), 2);
    // The disk is full: a bucket waits, and a minute later the budgets should be computed anew.
    counting.has_waiting = true;
    let later = |minutes: u64| Moment { boot_ns: begun.boot_ns + minutes * 61_000_000_000, ..begun };
    limits.attend(&config, &users, &mut counting, later(1));
    assert_eq!((counting.told.len(), &counting.told[1]), (2, &counting.told[0]));
    assert!(limits.at() < later(1).boot_ns, "the next reading comes after 200 ms");
    // A look at the port files found other quotas; somebody without one is not limited any more.
    limits.users_changed();
    limits.attend(&config, &users[..1], &mut counting, later(2));
    assert_eq!((counting.told.len(), &counting.told[2][..]), (3, &counting.told[0][..1]));
    // The disk has room again, but the log cannot be read.
    counting.has_waiting = false;
    std::fs::create_dir_all(config.state_dir.join("grants.jsonl")).unwrap();
    limits.attend(&config, &users[..1], &mut counting, later(3));
    assert_eq!((counting.told.len(), &counting.told[3]), (4, &counting.told[2]));
    assert!(limits.at() < later(3).boot_ns);
    assert!(limits.said.is_some());
}

#[test]
fn a_clock_that_was_in_another_month_for_a_while_gives_nobody_a_fresh_quota() {
    let directory = dir();
    let config = config_in(directory.path());
    let state = StateDir::new(&config.state_dir);
    put(&state, "2026-10-12", Quality::Exact, 600);
    let user = User { name: "acct-8388".into(), quota_bytes: Some(1_000), on_quota: OnQuota::Drop, ..User::default() };
    let owners = PortOwners::from([(8388, Some("acct-8388".to_owned()))]);
    let mut counting = ByReadings { owners, ..ByReadings::default() };
    let mut limits = NodeLimits::new(&config);
    let begun = clock::now();
    let mut minutes = 0;
    let mut limit_at = |limits: &mut NodeLimits, wall: &str| {
        minutes += 1;
        let now = Moment { wall: instant(wall).to_utc(), boot_ns: begun.boot_ns + minutes * 61_000_000_000 };
        limits.attend(&config, std::slice::from_ref(&user), &mut counting, now);
        counting.told.last().unwrap()[0].quota.unwrap().limit
    };
    // 1,000 less the 600 of the 12th.
    assert_eq!(limit_at(&mut limits, "2026-10-13T09:30:00Z"), Limit::Both(400));
    for elsewhere in ["2026-11-13T09:30:00Z", "2026-09-13T09:30:00Z"] {
        assert_eq!(limit_at(&mut limits, elsewhere), Limit::Both(1_000));
        assert_eq!(limit_at(&mut limits, "2026-10-13T09:30:00Z"), Limit::Both(400));
    }
    // An older log was imported: the next reload reads it.
    put(&state, "2026-10-11", Quality::Import, 50);
    limits.reloaded();
    assert_eq!(limit_at(&mut limits, "2026-10-13T09:30:00Z"), Limit::Both(350));
}

#[test]
fn of_a_divided_quota_and_of_what_was_used_before_a_node_has_its_share() {
    let directory = dir();
    let config = config_in(directory.path());
    let shares = BTreeMap::from([("hk-1".to_owned(), 300), ("us-1".to_owned(), 200)]);
    let user = User {
        name: "ada".into(),
        quota_bytes: Some(500),
        on_quota: OnQuota::Drop,
        used: Some(UsedBefore { bytes: 100, month: None }),
        nodes: shares.keys().cloned().collect(),
        shares,
        ..User::default()
    };
    let owners = PortOwners::from([(8388, Some("ada".to_owned()))]);
    let mut counting = ByReadings { owners, ..ByReadings::default() };
    NodeLimits::new(&config).attend(&config, &[user], &mut counting, clock::now());
    // 300 less 3/5 of 100.
    assert_eq!(counting.told[0][0].quota.unwrap().limit, Limit::Both(240));
}
