use super::*;

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
}

impl GatedBackend for ByReadings {
    fn has_waiting(&self) -> bool {
        false
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

#[test]
fn where_readings_cut_the_same_budgets_are_told_again_soon_until_something_changes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let text = format!("node = \"hk-1\"\ntimezone = \"UTC\"\nstate_dir = {:?}\n", directory.path().join("state"));
    std::fs::write(&file, text).unwrap();
    let config = crate::config::load(Some(&file), None).unwrap();
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
