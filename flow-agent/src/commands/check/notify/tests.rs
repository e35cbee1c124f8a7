use super::*;
use crate::ledger::limits::notice::{NoticeEvent, Subject};
use crate::ledger::record::{Kind, VERSION};

#[test]
fn a_channel_is_dead_since_its_first_failure_after_the_last_notice_that_it_took() {
    let at = |minute| DateTime::parse_from_rfc3339(&format!("2026-10-05T13:{minute:02}:00+08:00")).unwrap();
    let line = |minute, channel: &str, state| NoticeLine {
        v: VERSION,
        kind: Kind::Notice,
        at: at(minute),
        subject: Subject {
            month: "2026-10".parse().unwrap(),
            user: Some("ada".to_owned()),
            event: NoticeEvent::Warn,
            level: Some(80),
            node: None,
            day: None,
            quota_bytes: None,
        },
        channel: channel.to_owned(),
        state,
        reply: (state == MailState::Failed).then(|| "500".to_owned()),
    };
    let mut lines = vec![line(1, "a", MailState::Sending), line(2, "a", MailState::Sent)];
    assert_eq!(health(&lines, "a"), Health::Alive(at(2)));
    assert_eq!(health(&lines, "b"), Health::Unused);
    lines.extend([line(3, "a", MailState::Failed), line(4, "b", MailState::Sent), line(5, "a", MailState::Failed)]);
    assert_eq!(health(&lines, "a"), Health::Dead { since: at(3), why: "500".to_owned() });
    lines.push(line(6, "a", MailState::Sent));
    assert_eq!(health(&lines, "a"), Health::Alive(at(6)));
}
