use super::*;

const USED: Transferred = Transferred { in_bytes: 100, out_bytes: 300 };
const COUNTERS: Transferred = Transferred { in_bytes: 7_100, out_bytes: 9_300 };

#[test]
fn the_limit_is_as_far_from_the_counters_as_the_usage_is_from_the_quota() {
    let limit = |billed| Limit::new(billed, 1_000, USED, 50, COUNTERS);
    // Of 1,000 bytes 50 were used before; 1,000 - 50 - 400 = 550 are left of both, 850 of in, and 650 of out.
    assert_eq!(limit(Billed::Both), Limit::Both(16_400 + 550));
    assert_eq!(limit(Billed::In), Limit::In(7_100 + 850));
    assert_eq!(limit(Billed::Out), Limit::Out(9_300 + 650));
    let each = Transferred { in_bytes: 7_100 + 850, out_bytes: 9_300 + 650 };
    assert_eq!(limit(Billed::Max), Limit::Max(each));
}

#[test]
fn counters_have_passed_the_limit_of_a_quota_that_is_used_up() {
    assert_eq!(Limit::new(Billed::Both, 100, USED, 0, COUNTERS), Limit::Both(16_400 - 300));
    assert_eq!(Limit::new(Billed::In, 0, USED, u64::MAX, COUNTERS), Limit::In(0));
    assert_eq!(Limit::new(Billed::Out, u64::MAX, USED, 0, COUNTERS), Limit::Out(u64::MAX));
}

#[test]
fn what_is_left_ends_with_the_quota_the_last_day_or_the_month() {
    let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
    let each = Transferred { in_bytes: 7_500, out_bytes: 9_301 };
    let left = |limit: Limit| limit.left(COUNTERS);
    assert_eq!([Limit::Both(16_401), Limit::Both(16_400), Limit::In(7_099)].map(left), [1, 0, 0]);
    assert_eq!([Limit::Out(9_900), Limit::Max(each)].map(left), [600, 1]);
    let next = Some(NextMonth { at: at(200), bytes: 5 });
    let budget = |quota, expires_at| UserBudget { user: "u".into(), ports: BTreeSet::new(), quota, expires_at };
    let quota = Some(MonthlyQuota { limit: Limit::Both(0), next });
    let left_at = |budget: &UserBudget| [199, 200, 300].map(|seconds| budget.left(COUNTERS, at(seconds)));
    assert_eq!(left_at(&budget(quota, None)), [Some(0), Some(5), Some(5)]);
    assert_eq!(left_at(&budget(quota, Some(at(300)))), [Some(0), Some(5), Some(0)]);
    assert_eq!(left_at(&budget(None, Some(at(200)))), [None, Some(0), Some(0)]);
}

#[test]
fn the_limit_does_not_depend_on_the_moment_of_the_reading() {
    let later = |at: Transferred| Transferred { in_bytes: at.in_bytes + 5, out_bytes: at.out_bytes + 70 };
    for billed in [Billed::Both, Billed::In, Billed::Out, Billed::Max] {
        let now = Limit::new(billed, 1_000, USED, 50, COUNTERS);
        assert_eq!(now, Limit::new(billed, 1_000, later(USED), 50, later(COUNTERS)));
    }
}
