use super::*;
use crate::testing::fixtures;
use crate::testing::sweep::at_every_operation;

fn october() -> Month {
    "2026-10".parse().unwrap()
}

/// The report of a month without nodes and users.
fn report(month: &str, v: u32) -> MonthlyReport {
    let json = format!(
        r#"{{"v":{v},"month":"{month}","first_day":"2026-10-01","last_day":"2026-10-31","zone":"UTC",
            "made_at":"2026-11-01T00:11:00+00:00","state":"final","rev":0,"billed":"both",
            "coverage":{{"seconds_covered":0,"seconds":0}},"nodes":[],"statements":[]}}"#
    );
    serde_json::from_str(&json).unwrap()
}

#[test]
fn a_report_is_read_as_it_was_written_and_one_of_another_month_or_version_is_damage() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let lock = state.lock_report().unwrap();
    assert_eq!((read_report(&state, october()).unwrap(), months(&state).unwrap()), (None, BTreeSet::new()));
    write_report(&lock, &report("2026-10", VERSION)).unwrap();
    assert_eq!(read_report(&state, october()).unwrap(), Some(report("2026-10", VERSION)));
    let path = state.reports(october()).join("report.json");
    assert!(fs::read_to_string(&path).unwrap().ends_with("}\n"));

    for other in [report("2026-09", VERSION), report("2026-10", VERSION + 1)] {
        write_json(state.disk(), &path, &other).unwrap();
        let error = read_report(&state, october()).unwrap_err();
        assert!(error.to_string().ends_with("report.json` is damaged: of another version or month"), "{error}");
    }
    fs::write(&path, "{\"v\":1,").unwrap();
    let error = read_report(&state, october()).unwrap_err();
    assert!(error.to_string().ends_with("is damaged: not a report that flow-agent wrote"), "{error}");
}

#[test]
fn a_month_is_listed_where_it_has_a_report() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let lock = state.lock_report().unwrap();
    write_report(&lock, &report("2026-10", VERSION)).unwrap();
    write_report(&lock, &report("2026-09", VERSION)).unwrap();
    // A page alone is no report.
    write_files(&lock, "2026-08".parse().unwrap(), [("report.html", &b"<p>"[..])]).unwrap();
    fs::create_dir_all(dir.path().join("reports/notes")).unwrap();
    fs::write(dir.path().join("reports/notes/report.json"), "{}").unwrap();
    assert_eq!(months(&state).unwrap(), ["2026-09", "2026-10"].map(|month| month.parse().unwrap()).into());
}

#[test]
fn letters_that_are_not_named_are_removed_and_nothing_else_is() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let lock = state.lock_report().unwrap();
    let names = ["01-ada.eml", "02-bob.eml", "03-eve.eml", ".04-new.eml", "report.html", "report.json", ".emlx"];
    write_files(&lock, october(), names.map(|name| (name, name.as_bytes()))).unwrap();
    remove_other_letters(&lock, october(), &["02-bob.eml".to_owned()].into()).unwrap();
    let names: BTreeSet<String> = fs::read_dir(state.reports(october()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected = ["02-bob.eml", ".04-new.eml", "report.html", "report.json", ".emlx"];
    assert_eq!(names, expected.map(str::to_owned).into());
    assert_eq!(fs::read_to_string(state.reports(october()).join("02-bob.eml")).unwrap(), "02-bob.eml");
}

#[test]
fn after_any_fault_each_letter_is_the_old_one_or_the_new_one() {
    // Few are written one after the other, many by several threads.
    for count in [3, 16] {
        let names: Vec<String> = (0..count).map(|number| format!("{number:02}-user.eml")).collect();
        let write = |state: &StateDir, names: &[String], text: &str| {
            let files = names.iter().map(|name| (name.as_str(), text.as_bytes()));
            write_files(&state.lock_report()?, october(), files)
        };
        let (old, new) = ("the old letter", "the new letter, which is longer");
        let operations = at_every_operation(
            |state| write(state, &names[1..], old).unwrap(),
            |state, _| write(state, &names, new),
            |after| {
                for (number, name) in names.iter().enumerate() {
                    let text = fs::read_to_string(after.state.reports(october()).join(name)).ok();
                    let is_old = text.as_deref() == (number > 0).then_some(old);
                    let is_new = text.as_deref() == Some(new);
                    assert!(is_new || after.outcome.is_err() && is_old, "{after:?}: {name} {text:?}");
                }
                write(&after.state, &names, new).unwrap();
            },
        );
        // Each is created, written, synced and renamed; all names are synced at once.
        assert_eq!(operations, 4 * count + 1);
    }
}
