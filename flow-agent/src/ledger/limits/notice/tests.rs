use super::*;
use crate::ledger::record::VERSION;

#[test]
fn a_line_has_the_fields_of_the_contract() {
    let line = NoticeLine {
        v: VERSION,
        kind: Kind::Notice,
        at: DateTime::parse_from_rfc3339("2026-10-05T13:00:00+08:00").unwrap(),
        subject: Subject {
            month: "2026-10".parse().unwrap(),
            user: Some("ada".to_owned()),
            event: NoticeEvent::Warn,
            level: Some(90),
            node: None,
            day: None,
            quota_bytes: Some(1_000),
        },
        channel: "telegram".to_owned(),
        state: MailState::Sent,
        reply: Some("200".to_owned()),
    };
    let json = r#"{"v":1,"kind":"notice","at":"2026-10-05T13:00:00+08:00","month":"2026-10","user":"ada","event":"warn","level":90,"quota_bytes":1000,"channel":"telegram","state":"sent","reply":"200"}"#;
    assert_eq!(serde_json::to_string(&line).unwrap(), json);
    assert_eq!(serde_json::from_str::<NoticeLine>(json).unwrap(), line);
}

#[test]
fn a_line_about_a_node_has_a_day_and_no_user() {
    let json = r#"{"v":1,"kind":"notice","at":"2026-10-05T13:00:00+08:00","month":"2026-10","user":null,"event":"gap","level":60,"node":"hk-1","day":"2026-10-04","channel":"admins","state":"sending"}"#;
    let line: NoticeLine = serde_json::from_str(json).unwrap();
    assert_eq!((line.subject.node.as_deref(), line.subject.day), (Some("hk-1"), NaiveDate::from_ymd_opt(2026, 10, 4)));
    assert_eq!(serde_json::to_string(&line).unwrap(), json);
}

#[test]
fn events_have_one_name_everywhere() {
    for event in NoticeEvent::ALL {
        assert_eq!(serde_json::to_value(event).unwrap(), event.name());
    }
    assert_eq!(NoticeEvent::ALL.map(NoticeEvent::name)[..3], ["warn", "forecast", "cut"]);
}
