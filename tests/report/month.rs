//! A month from the nodes' files to the letters.

use crate::days::{Month, month_of, moved, put};
use crate::fleet::Fleet;

const USERS: &str = r#"
[[users]]
name = "alice"
ports = [443]
email = "alice@example.com"
quota = "1 GiB"
[[users]]
name = "bob"
email = "bob@example.com"
language = "zh"
[[users]]
name = "nomail"
ports = [5000]
"#;

#[test]
fn three_nodes_become_a_month_and_a_letter_each() {
    let Some(fleet) = Fleet::with_mail(&["hk-1", "fr-1", "us-1"]) else { return };
    let month = Month::last_complete();
    let days = u64::try_from(month.days().count()).unwrap();
    for (node, moved) in [
        ("hk-1", vec![moved(443, None, [1, 20, 300, 4_000]), moved(4433, None, [7, 0, 0, 0])]),
        ("fr-1", vec![moved(443, None, [50_000, 0, 0, 0]), moved(8388, Some("bob"), [0, 600_000, 0, 0])]),
        ("us-1", vec![moved(8388, Some("carol"), [0, 0, 0, 9]), moved(5000, None, [2, 0, 0, 0])]),
    ] {
        put(&fleet.node(node).state_dir, &month, &month_of(node, &month, &moved));
    }
    fleet.configure(USERS, "");

    let ended = fleet.report(&[]).with_code(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""), "cron mails whatever is said");

    let log = fleet.monthly(&month.name()[..4]);
    let line = |user: Option<&str>, port: u64| {
        let found = log.iter().find(|line| {
            line["kind"] == "month" && line["user"].as_str() == user && (user.is_some() || line["ports"][0] == port)
        });
        found.unwrap_or_else(|| panic!("no line of {user:?} {port} in {log:#?}")).clone()
    };
    let alice = line(Some("alice"), 443);
    assert_eq!(alice["tcp_in_bytes"], days * 50_001);
    assert_eq!(alice["tcp_out_bytes"], days * 20);
    assert_eq!(alice["udp_in_bytes"], days * 300);
    assert_eq!(alice["udp_out_bytes"], days * 4_000);
    assert_eq!(alice["by_node"]["hk-1"]["tcp_in_bytes"], days);
    assert_eq!(alice["by_node"]["fr-1"]["tcp_in_bytes"], days * 50_000);
    assert_eq!(alice["coverage"], 1.0);
    assert_eq!(line(Some("bob"), 8388)["tcp_out_bytes"], days * 600_000);
    assert_eq!(line(Some("us-1/carol"), 8388)["udp_out_bytes"], days * 9);
    assert_eq!(line(None, 4433)["tcp_in_bytes"], days * 7);
    assert_eq!(line(Some("nomail"), 5000)["tcp_in_bytes"], days * 2);
    assert_eq!(log.len(), 6, "five lines and a seal");

    let letters = fleet.letters("alice");
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    let figure = thousands(days * 54_321);
    assert!(letter["text"].as_str().unwrap().contains(&figure), "{letter:#}");
    assert!(letter["html"].as_str().unwrap().contains(&figure), "{letter:#}");
    assert_eq!(letter["headers"]["To"], "alice@example.com");
    assert_eq!(letter["defects"], serde_json::json!([]));
    assert_eq!(fleet.letters("bob").len(), 1);
    let summary = fleet.letters("ops");
    assert_eq!(summary.len(), 1);
    let csv = summary[0]["attachments"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
    assert!(csv.contains(&format!("us-1/carol,8388,{},", days * 9)), "{csv}");

    let states: Vec<_> = fleet.sent().iter().map(|line| line["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["sending", "sent", "sending", "sent", "sending", "sent"]);
    let reports = fleet.state_dir().join("reports").join(month.name());
    let mut files: Vec<_> =
        std::fs::read_dir(reports).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let figures = format!("flow-agent-{}.csv", month.name());
    assert_eq!(
        files,
        ["0001-alice.eml", "0002-bob.eml", figures.as_str(), "report.html", "report.json", "summary.eml"]
    );
}

/// Formats a number such as `1,683,951`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}
