//! What was published about a month changes only by new data, and not by another price, name, period or list of nodes.

use std::fs;

use serde_json::Value;

use crate::days::{Month, month_of, moved, put};
use crate::fleet::Fleet;

const USERS: &str = r#"
[[users]]
name = "alice"
ports = [443]
email = "alice@example.com"
[[users]]
name = "bob"
ports = [80]
email = "bob@example.com"
"#;

/// 1 CNY for each 1,000 bytes.
const PRICE: &str = "price = { per = \"KB\", amount = \"1\", currency = \"CNY\" }";
const TWICE: &str = "price = { per = \"KB\", amount = \"2\", currency = \"CNY\" }";

/// Two nodes. alice is on both, 1,000 bytes a day on each; bob only on the first.
fn two_nodes() -> Option<(Fleet, Month, u64)> {
    let fleet = Fleet::with_mail(&["hk-1", "fr-1"])?;
    let month = Month::last_complete();
    let days = u64::try_from(month.days().count()).unwrap();
    let hk = [moved(443, None, [1_000, 0, 0, 0]), moved(80, None, [7_000, 0, 0, 0])];
    put(&fleet.node("hk-1").state_dir, &month, &month_of("hk-1", &month, &hk));
    put(&fleet.node("fr-1").state_dir, &month, &month_of("fr-1", &month, &[moved(443, None, [0, 1_000, 0, 0])]));
    fleet.configure(USERS, PRICE);
    Some((fleet, month, days))
}

fn change(fleet: &Fleet, from: &str, to: &str) {
    let text = fs::read_to_string(fleet.config()).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(fleet.config(), text.replace(from, to)).unwrap();
}

fn report(fleet: &Fleet, month: &Month) -> Value {
    let path = fleet.state_dir().join("reports").join(month.name()).join("report.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn statement(fleet: &Fleet, month: &Month, user: &str) -> Value {
    let report = report(fleet, month);
    let statements = report["statements"].as_array().unwrap();
    statements.iter().find(|statement| statement["user"] == user).unwrap().clone()
}

fn amount(fleet: &Fleet, month: &Month, user: &str) -> String {
    statement(fleet, month, user)["money"]["amount"].as_str().unwrap().to_owned()
}

#[test]
fn a_letter_that_is_sent_again_says_the_same_and_goes_to_nobody_else() {
    let Some((fleet, month, days)) = two_nodes() else { return };
    fleet.report(&[]).with_code(0);
    let published = report(&fleet, &month);
    assert_eq!(amount(&fleet, &month, "bob"), format!("{}.00", days * 7));
    fleet.configure(USERS, TWICE);
    fleet.report(&["--resend", "bob"]).with_code(0);
    assert_eq!(report(&fleet, &month), published);
    assert_eq!((fleet.letters("bob").len(), fleet.letters("alice").len(), fleet.letters("ops").len()), (2, 1, 1));
    // A person who names the month bills it anew.
    fleet.report(&["--month", &month.name()]).with_code(0);
    assert_eq!(amount(&fleet, &month, "bob"), format!("{}.00", days * 14));
    assert_eq!(statement(&fleet, &month, "bob")["rev"], 1);
}

#[test]
fn a_provisional_month_keeps_its_price_when_more_data_arrives() {
    let Some((fleet, month, days)) = two_nodes() else { return };
    let fr = fleet.node("fr-1").state_dir.join("daily");
    fs::rename(&fr, fr.with_file_name("away")).unwrap();
    fleet.report(&[]).with_code(6);
    assert_eq!(amount(&fleet, &month, "alice"), format!("{days}.00"));
    fleet.configure(USERS, TWICE);
    fs::rename(fr.with_file_name("away"), &fr).unwrap();
    fleet.report(&[]).with_code(0);
    assert_eq!(amount(&fleet, &month, "alice"), format!("{}.00", days * 2));
    assert_eq!((amount(&fleet, &month, "bob"), fleet.letters("bob").len()), (format!("{}.00", days * 7), 1));
}

#[test]
fn a_node_that_was_renamed_and_cannot_be_reached_keeps_its_days() {
    let Some((mut fleet, month, days)) = two_nodes() else { return };
    fleet.report(&[]).with_code(0);
    let published = statement(&fleet, &month, "alice");
    fleet.silence_last();
    fleet.configure(USERS, PRICE);
    change(&fleet, "name = \"fr-1\"", "name = \"fr-new\"\naliases = [\"fr-1\"]");
    for arguments in [&["--dry-run"][..], &["--no-mail"]] {
        let said = fleet.report(&[arguments, &["--month", &month.name()]].concat()).with_code(6).stdout;
        assert!(said.contains("fr-new") && said.contains("KEPT"), "{said}");
    }
    let now = statement(&fleet, &month, "alice");
    assert_eq!((&now["total"], &now["rev"]), (&published["total"], &published["rev"]));
    assert_eq!(now["by_node"]["fr-new"]["tcp_out_bytes"], days * 1_000);
}

#[test]
fn a_node_that_is_no_longer_configured_is_missed_aloud() {
    let Some((fleet, month, days)) = two_nodes() else { return };
    let fr = fleet.node("fr-1").state_dir.join("daily");
    fs::rename(&fr, fr.with_file_name("away")).unwrap();
    fleet.report(&["--no-mail"]).with_code(6);
    fs::rename(fr.with_file_name("away"), &fr).unwrap();
    fleet.report(&["--no-mail"]).with_code(0);
    let text = fs::read_to_string(fleet.config()).unwrap();
    let entry = text.find("[[nodes]]\nname = \"fr-1\"").unwrap();
    let end = entry + text[entry..].find("[report]").unwrap();
    fs::write(fleet.config(), [&text[..entry], &text[end..]].concat()).unwrap();
    let said = fleet.report(&["--no-mail", "--month", &month.name()]).with_code(6).stdout;
    assert!(said.contains("fr-1") && said.contains("`[[nodes]]` does not name it"), "{said}");
    assert_eq!(report(&fleet, &month)["state"], "provisional");
    // Who does not want its days removes them.
    fs::remove_dir_all(fleet.state_dir().join("nodes/fr-1")).unwrap();
    fleet.report(&["--no-mail", "--month", &month.name()]).with_code(0);
    assert_eq!(amount(&fleet, &month, "alice"), format!("{days}.00"));
}

#[test]
fn another_first_day_of_the_month_bills_no_day_twice_and_forgets_none() {
    let Some((fleet, month, _)) = two_nodes() else { return };
    fleet.report(&["--no-mail"]).with_code(0);
    let published = report(&fleet, &month);
    change(&fleet, "node = \"main\"", "node = \"main\"\nmonth_start_day = 2");
    let refused = fleet.report(&["--no-mail"]).with_code(3);
    assert!(refused.stderr.contains("month_start_day"), "{}", refused.stderr);
    assert_eq!(report(&fleet, &month), published);
}

#[test]
fn a_lost_report_is_told_and_nobody_is_mailed_again() {
    let Some((fleet, month, _)) = two_nodes() else { return };
    fleet.report(&[]).with_code(0);
    fs::remove_dir_all(fleet.state_dir().join("reports").join(month.name())).unwrap();
    let said = fleet.report(&[]).with_code(0).stderr;
    assert!(said.contains("report.json is gone, although 3 letters") && said.contains("--resend"), "{said}");
    assert_eq!(fleet.letters("bob").len(), 1);
}
