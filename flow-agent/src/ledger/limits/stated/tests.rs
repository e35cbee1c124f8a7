use super::*;

#[test]
fn what_the_configuration_says_of_a_user_holds() {
    let day = |day| NaiveDate::from_ymd_opt(2026, 12, day);
    let users = [
        User { name: "ada".into(), quota_bytes: Some(5), expires: day(1), ..User::default() },
        User { name: "bob".into(), email: Some("bob@example.com".into()), ..User::default() },
    ];
    let limit = |quota_bytes, expires| StatedLimit { quota_bytes, expires };
    let stated = StatedLimits::from([
        ("ada".to_owned(), limit(Some(7), day(2))),
        ("bob".to_owned(), limit(Some(8), None)),
        ("eve".to_owned(), limit(None, day(3))),
    ]);
    let bob = User { quota_bytes: Some(8), on_quota: OnQuota::Drop, ..users[1].clone() };
    let eve = User { name: "eve".into(), expires: day(3), ..User::default() };
    assert_eq!(with_stated(&users, &stated), [users[0].clone(), bob, eve]);
    assert_eq!(with_stated(&users, &StatedLimits::new()), users);
}
