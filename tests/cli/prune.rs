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

    configure("2 days");
    let (code, plan) = run(&["prune", "--dry-run"]);
    assert_eq!((code, plan.matches("  delete    ").count()), (Some(0), 3), "{plan}");
    assert_eq!(run(&["prune"]).0, Some(0));
    assert!(!packed.exists());
    // The days are still there, and so are the hourly files of the newest three days.
    assert_eq!(shown()[1], before[1]);
    assert_eq!(shown()[0].1.lines().count() * 2, before[0].1.lines().count());

    let lock = log.lock_run().unwrap();
    assert_eq!(run(&["prune"]), (Some(0), "nothing to do\n".to_owned()), "the newest three are always kept");
    drop(lock);
}

#[test]
fn hours_of_a_day_whose_daily_log_is_damaged_are_kept_until_it_is_rolled_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    let text = "node = \"n\"\ntimezone = \"UTC\"\nstate_dir = \"state\"\n[retention]\nhours = \"2 days\"\n";
    fs::write(&config, text).unwrap();
    let run = |arguments: &[&str]| flow_agent(&[arguments, &["--config", config.to_str().unwrap()]].concat());
    let log = StateDir::new(dir.path().join("state"));
    let lock = log.lock_run().unwrap();
    let (mut journal, _) = Journal::open(&lock).unwrap();
    for number in 1..=6_u64 {
        let mut bucket = bucket(&format!("2024-09-{number:02}T10"), 2, (number - 1) * 1_000, number * 1_000);
        journal.append(&mut bucket).unwrap();
    }
    drop(lock);
    assert_eq!(run(&["rollup"]).code, Some(6));
    let september = ["show", "days", "--from", "2024-09-01", "--to", "2024-09-30", "--json"];
    let before = run(&september).stdout;
    assert!(before.contains("1000"), "{before}");

    let daily = log.daily("2024-09".parse().unwrap());
    let whole = fs::read_to_string(&daily).unwrap();
    // The first figure of the 2nd that is 1000 becomes 1001.
    let at = whole.find("\"2024-09-02\",\"port\"").unwrap();
    fs::write(&daily, format!("{}{}", &whole[..at], whole[at..].replacen(":1000,", ":1001,", 1))).unwrap();
    assert_ne!(fs::read_to_string(&daily).unwrap(), whole);

    let pruned = run(&["prune"]);
    assert_eq!(pruned.code, Some(6), "{}", pruned.stderr);
    let damaged = pruned.stderr.lines().filter(|line| line.contains("no intact block")).collect::<Vec<_>>();
    assert_eq!(damaged.len(), 1, "{}", pruned.stderr);
    assert!(damaged[0].contains("2024-09.jsonl") && damaged[0].contains("rollup --day 2024-09-02"), "{damaged:?}");
    let dates = || flow_agent::store::hours::dates(&log).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    // The 1st is kept too, because its last bucket may extend into the 2nd, and the newest three always are.
    assert_eq!(dates(), ["2024-09-01", "2024-09-02", "2024-09-04", "2024-09-05", "2024-09-06"]);

    assert_eq!(run(&["rollup", "--day", "2024-09-02"]).code, Some(6));
    assert_eq!(run(&september).stdout, before);
    assert_eq!(run(&["prune"]).code, Some(0));
    assert_eq!(dates(), ["2024-09-04", "2024-09-05", "2024-09-06"]);
    assert_eq!(run(&september).stdout, before);
}
