//! Which notices are due: each level once, only the highest of several, and again those that did not arrive.

use super::*;
use crate::ledger::record::{Kind, VERSION};
use crate::ledger::user::OnQuota;

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 10, day).unwrap()
}

fn at(minute: u32) -> DateTime<FixedOffset> {
    let start = DateTime::parse_from_rfc3339("2026-10-05T13:00:00+08:00").unwrap();
    start + TimeDelta::minutes(i64::from(minute))
}

fn user(used_bytes: u64, quota_bytes: u64) -> UserMonth {
    UserMonth {
        user: "ada".to_owned(),
        month: "2026-10".parse().unwrap(),
        quota_bytes: Some(quota_bytes),
        granted_bytes: 0,
        counted_bytes: used_bytes,
        used_before_bytes: 0,
        used_bytes,
        left_bytes: Some(quota_bytes.saturating_sub(used_bytes)),
        forecast_bytes: None,
        expires: None,
        on_quota: OnQuota::Count,
        condition: Condition::Open,
        is_incomplete: false,
        is_dropped_everywhere: false,
    }
}

fn line(notice: &Notice, state: MailState, minute: u32) -> NoticeLine {
    NoticeLine {
        v: VERSION,
        kind: Kind::Notice,
        at: at(minute),
        subject: notice.subject.clone(),
        channel: "hook".to_owned(),
        state,
        reply: None,
    }
}

/// The events and levels that are due over the channel `hook`.
fn due(told: &NoticeHistory, notices: &[Notice], minute: u32, repeat: Repeat) -> Vec<(NoticeEvent, Option<u32>)> {
    let now = at(minute).to_utc();
    let choice = NoticeChoice { channel: "hook", takes: &|_| true, repeat, now, retry_now: false };
    told.due(notices, &choice).iter().map(|notice| (notice.subject.event, notice.subject.level)).collect()
}

const LEVELS: [u32; 3] = [80, 90, 100];

#[test]
fn of_two_levels_at_once_the_higher_one_is_sent_and_the_lower_one_never() {
    let jumped = of_users(&[user(95, 100)], &LEVELS, day(5));
    let mut told = NoticeHistory::default();
    assert_eq!(due(&told, &jumped, 0, Repeat::UntilAccepted), [(NoticeEvent::Warn, Some(90))]);
    told.add(&line(&jumped[0], MailState::Sending, 0));
    told.add(&line(&jumped[0], MailState::Sent, 0));
    assert_eq!(due(&told, &jumped, 600, Repeat::UntilAccepted), []);
    // A correction of the log lowers the usage: the lower level is not news.
    let lower = of_users(&[user(85, 100)], &LEVELS, day(5));
    assert_eq!(due(&told, &lower, 600, Repeat::UntilAccepted), []);
    let higher = of_users(&[user(100, 100)], &LEVELS, day(5));
    assert_eq!(due(&told, &higher, 600, Repeat::UntilAccepted), [(NoticeEvent::Warn, Some(100))]);
}

#[test]
fn a_raised_quota_and_a_new_month_are_told_anew() {
    let before = of_users(&[user(95, 100)], &LEVELS, day(5));
    let told = NoticeHistory::new(&[line(&before[0], MailState::Sending, 0), line(&before[0], MailState::Sent, 0)]);
    let raised = of_users(&[user(165, 200)], &LEVELS, day(5));
    assert_eq!(due(&told, &raised, 1, Repeat::UntilAccepted), [(NoticeEvent::Warn, Some(80))]);
    let next = of_users(&[UserMonth { month: "2026-11".parse().unwrap(), ..user(85, 100) }], &LEVELS, day(5));
    assert_eq!(due(&told, &next, 1, Repeat::UntilAccepted), [(NoticeEvent::Warn, Some(80))]);
}

#[test]
fn who_is_told_of_a_cut_is_not_told_that_the_quota_is_used_up() {
    let condition = Condition::Cut { since: None, nodes: Vec::new() };
    let cut = UserMonth { condition, is_dropped_everywhere: true, ..user(100, 100) };
    let notices = of_users(&[cut], &LEVELS, day(5));
    assert_eq!(due(&NoticeHistory::default(), &notices, 0, Repeat::UntilAccepted), [(NoticeEvent::Cut, None)]);
    let only_warnings = NoticeChoice {
        channel: "hook",
        takes: &|event| event == NoticeEvent::Warn,
        repeat: Repeat::UntilAccepted,
        now: at(0).to_utc(),
        retry_now: false,
    };
    let due = NoticeHistory::default().due(&notices, &only_warnings).len();
    assert_eq!(due, 1, "a channel that takes no cuts takes the warning");
}

#[test]
fn a_forecast_is_told_while_the_quota_is_not_used_up() {
    let forecast = |used, forecast| {
        let user = UserMonth { forecast_bytes: forecast, ..user(used, 100) };
        of_users(&[user], &[], day(5)).len()
    };
    assert_eq!(forecast(50, Some(101)), 1);
    assert_eq!(forecast(50, Some(100)), 0);
    assert_eq!(forecast(50, None), 0);
    assert_eq!(forecast(100, Some(200)), 0);
}

#[test]
fn an_expiry_is_told_three_days_before_and_when_it_is_over() {
    let level = |today| {
        let user = UserMonth { expires: Some(day(31)), ..user(0, 100) };
        of_users(&[user], &LEVELS, today).first().and_then(|notice| notice.subject.level)
    };
    assert_eq!(level(day(27)), None);
    assert_eq!(level(day(28)), Some(3));
    assert_eq!(level(day(31)), Some(3));
    let after = |days| day(31) + chrono::Days::new(days);
    assert_eq!([1, 7, 8, 900].map(|days| level(after(days))), [Some(0), Some(0), None, None]);
}

#[test]
fn a_share_that_is_used_up_on_one_node_does_not_silence_the_warnings_about_the_whole() {
    let condition = Condition::Cut { since: None, nodes: vec!["hk-1".to_owned()] };
    let notices = of_users(&[UserMonth { condition, ..user(95, 100) }], &LEVELS, day(5));
    assert_eq!(due(&NoticeHistory::default(), &notices, 0, Repeat::UntilAccepted), [(NoticeEvent::Warn, Some(90))]);
}

#[test]
fn who_has_expired_is_told_nothing_of_the_quota() {
    let condition = Condition::Expired { since: day(5) };
    let expires = Some(day(4));
    let user =
        UserMonth { condition, expires, is_dropped_everywhere: true, forecast_bytes: Some(900), ..user(120, 100) };
    let notices = of_users(&[user], &LEVELS, day(5));
    assert_eq!(due(&NoticeHistory::default(), &notices, 0, Repeat::UntilAccepted), [(NoticeEvent::Expire, Some(0))]);
}

#[test]
fn what_did_not_arrive_is_tried_again_with_growing_pauses_for_a_day() {
    let notices = of_users(&[user(95, 100)], &LEVELS, day(5));
    let notice = &notices[0];
    for state in [MailState::Failed, MailState::Unknown] {
        let mut told = NoticeHistory::new(&[line(notice, MailState::Sending, 0), line(notice, state, 0)]);
        let is_due = |told: &NoticeHistory, minute| !due(told, &notices, minute, Repeat::UntilAccepted).is_empty();
        assert!(!is_due(&told, 0) && is_due(&told, 1), "{state:?}");
        told.add(&line(notice, MailState::Sending, 1));
        assert!(!is_due(&told, 2), "the pause begins with the attempt");
        told.add(&line(notice, state, 1));
        assert!(!is_due(&told, 2) && is_due(&told, 3), "{state:?}");
        assert!(is_due(&told, 24 * 60) && !is_due(&told, 24 * 60 + 1), "{state:?}");
    }
}

#[test]
fn a_letter_that_may_have_arrived_is_not_sent_twice() {
    let notices = of_users(&[user(95, 100)], &LEVELS, day(5));
    for state in [MailState::Sending, MailState::Unknown] {
        let told = NoticeHistory::new(&[line(&notices[0], MailState::Sending, 0), line(&notices[0], state, 0)]);
        assert_eq!(due(&told, &notices, 60, Repeat::UnlessRefused), []);
        assert_eq!(due(&told, &notices, 60, Repeat::UntilAccepted).len(), 1);
    }
    let refused =
        NoticeHistory::new(&[line(&notices[0], MailState::Sending, 0), line(&notices[0], MailState::Failed, 0)]);
    assert_eq!(due(&refused, &notices, 60, Repeat::UnlessRefused).len(), 1);
}

#[test]
fn what_was_being_sent_when_the_program_ended_is_known() {
    let notices = of_users(&[user(95, 100)], &LEVELS, day(5));
    let told = NoticeHistory::new(&[line(&notices[0], MailState::Sending, 0)]);
    assert_eq!(told.interrupted("hook"), [notices[0].subject.clone()]);
    assert_eq!(told.interrupted("other"), []);
}

#[test]
fn gaps_that_grow_are_told_again_but_not_when_they_shrink() {
    let gap = |level| Notice {
        subject: Subject { level, day: Some(day(5)), node: Some("hk-1".to_owned()), ..of_gap() },
        facts: NoticeFacts::Gap { seconds: 0, why: "down".to_owned() },
    };
    let mut told = NoticeHistory::default();
    for (minute, level, is_told) in [
        (0, None, true),
        (1, None, false),
        (2, Some(60), true),
        (3, Some(10), false),
        (4, None, false),
        (5, Some(360), true),
    ] {
        let notice = gap(level);
        let expected: &[_] = if is_told { &[(NoticeEvent::Gap, level)] } else { &[] };
        assert_eq!(
            due(&told, std::slice::from_ref(&notice), minute, Repeat::UntilAccepted),
            expected,
            "at minute {minute}"
        );
        if is_told {
            told.add(&line(&notice, MailState::Sent, minute));
        }
    }
    let next_day = Notice { subject: Subject { day: Some(day(6)), ..gap(None).subject }, ..gap(None) };
    assert_eq!(due(&told, &[next_day], 6, Repeat::UntilAccepted), [(NoticeEvent::Gap, None)]);
}

fn of_gap() -> Subject {
    let month = Month::of(day(5));
    Subject { month, user: None, event: NoticeEvent::Gap, level: None, node: None, day: None, quota_bytes: None }
}

#[test]
fn what_failed_while_the_clock_was_ahead_is_tried_at_once() {
    let notices = of_users(&[user(95, 100)], &LEVELS, day(5));
    let mut told = NoticeHistory::default();
    told.add(&line(&notices[0], MailState::Sending, 600));
    told.add(&line(&notices[0], MailState::Failed, 600));
    assert_eq!(due(&told, &notices, 600, Repeat::UntilAccepted), []);
    assert_eq!(due(&told, &notices, 1, Repeat::UntilAccepted), [(NoticeEvent::Warn, Some(90))]);
}

#[test]
fn the_pause_is_five_seconds_shorter_than_the_interval_of_a_timer() {
    let notices = of_users(&[user(95, 100)], &LEVELS, day(5));
    let told = NoticeHistory::new(&[line(&notices[0], MailState::Sending, 0), line(&notices[0], MailState::Failed, 0)]);
    for (seconds, expected) in [(54, 0), (55, 1)] {
        let now = at(0).to_utc() + TimeDelta::seconds(seconds);
        let choice =
            NoticeChoice { channel: "hook", takes: &|_| true, repeat: Repeat::UntilAccepted, now, retry_now: false };
        assert_eq!(told.due(&notices, &choice).len(), expected, "{seconds}");
    }
}
