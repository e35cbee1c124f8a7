//! Old days of the hourly log: what would be done with them, what is done, and that every command reads them as before.

use std::fs;
use std::process::Command;

use flow_agent::store::StateDir;
use flow_agent::store::journal::Journal;

use crate::hourly::bucket;
use crate::program::flow_agent;

#[test]
fn old_days_are_compressed_and_deleted_as_the_plan_says() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    let (state, retention) = (dir.path().join("state"), "[retention]\ncompress_after = \"1 day\"\nhours = ");
    let configure = |hours: &str| {
        let text = format!("node = \"n\"\ntimezone = \"UTC\"\nstate_dir = \"state\"\n{retention}\"{hours}\"\n");
        fs::write(&config, text).unwrap();
    };
    configure("forever");
    let run = |arguments: &[&str]| {
        let said = flow_agent(&[arguments, &["--config", config.to_str().unwrap()]].concat());
        (said.code, said.stdout)
    };
    let log = StateDir::new(&state);
    let lock = log.lock_run().unwrap();
    let (mut journal, _) = Journal::open(&lock).unwrap();
    for number in 1..=6_u64 {
        let mut bucket = bucket(&format!("2024-10-{number:02}T10"), 200, (number - 1) * 1_000, number * 1_000);
        journal.append(&mut bucket).unwrap();
    }
    drop(lock);
    // Without daily logs nothing is changed. Days with one bucket of 24 are incomplete, hence exit code 6.
    assert_eq!(run(&["prune"]), (Some(0), "nothing to do\n".to_owned()));
    assert_eq!(run(&["rollup"]).0, Some(6));
    let october = ["--from", "2024-10-01", "--to", "2024-10-31", "--json"];
    let shown =
        || [run(&[&["show", "hours"], &october[..]].concat()), run(&[&["show", "days"], &october[..]].concat())];
    let before = shown();
    assert!(before[0].1.contains("\"bytes\""), "{before:?}");
    let text = fs::read(log.hourly("2024-10-01".parse().unwrap())).unwrap();

    let (code, plan) = run(&["prune", "--dry-run"]);
    assert_eq!((code, plan.lines().count()), (Some(0), 4), "{plan}");
    assert!(plan.starts_with("2024-10-01  compress  "), "{plan}");
    assert!(plan.lines().nth(2).unwrap().starts_with("2024-10-03"), "{plan}");
    assert!(!log.hourly_compressed("2024-10-01".parse().unwrap()).exists());

    assert_eq!(run(&["prune"]).0, Some(0));
    // Another program can read its content.
    let packed = log.hourly_compressed("2024-10-01".parse().unwrap());
    let foreign = Command::new("zstdcat").arg(&packed).output().expect("zstd is installed with the tests' packages");
    assert_eq!(foreign.stdout, text);
    assert!(fs::metadata(&packed).unwrap().len() * 5 < text.len() as u64, "a fifth of the size at most");
    assert_eq!(shown(), before);
    assert_eq!(run(&["prune"]), (Some(0), "nothing to do\n".to_owned()));
    assert_eq!(run(&["rollup"]).0, Some(6));
    assert_eq!(shown(), before);

    configure("2 months");
    let (code, plan) = run(&["prune", "--dry-run"]);
    assert_eq!((code, plan.matches("  delete    ").count()), (Some(0), 3), "{plan}");
    assert_eq!(run(&["prune"]).0, Some(0));
    assert!(!packed.exists());
    // The days are still there, and so are the hourly files of the newest three days.
    assert_eq!(shown()[1], before[1]);
    assert_eq!(shown()[0].1.lines().count() * 2, before[0].1.lines().count());

    let lock = log.lock_run().unwrap();
    configure("1 month");
    assert_eq!(run(&["prune"]), (Some(0), "nothing to do\n".to_owned()), "the newest three are always kept");
    drop(lock);
}
