//! Nodes whose month ends long after it has ended on the main node, with the clocks that they would show.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use chrono::{DateTime, Days, FixedOffset, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use sha2::{Digest as _, Sha256};

use crate::common::have_program;
use crate::days::{Month, line, moved, put, sealed_with};
use crate::fleet::{Ended, PROGRAM, parsed};
use crate::stub::Stub;

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn instant(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// Runs the program at that time of the wall clock.
fn at(now: DateTime<Utc>, arguments: &[&str], config: &Path) -> Ended {
    let mut command = Command::new("faketime");
    command.arg("-f").arg(now.format("@%Y-%m-%d %H:%M:%S").to_string());
    command.arg(PROGRAM).args(arguments).arg("--config").arg(config);
    command.envs([("TZ", "UTC"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]).stdin(Stdio::null());
    command.output().unwrap().into()
}

/// A node that counts on one port, an hour at a time.
struct Counting {
    name: &'static str,
    port: u16,
    zone: Tz,
    counted_until: DateTime<Utc>,
    root: std::path::PathBuf,
}

impl Counting {
    fn new(root: &Path, name: &'static str, zone: Tz, october: &str, port: u16) -> Self {
        let root = root.join(name);
        fs::create_dir_all(root.join("hourly")).unwrap();
        let config = format!("node = \"{name}\"\ntimezone = \"{zone}\"\nstate_dir = {root:?}\n");
        fs::write(root.join("config.toml"), config).unwrap();
        // September, as it was sealed then: a byte a day.
        let september = Month { first: date("2026-09-01") };
        let day = |day| sealed_with(name, day, &[line(day, &moved(port, None, [1, 0, 0, 0]))], 86_400, zone.name());
        put(&root, &september, &september.days().map(day).collect::<String>());
        Self { name, port, zone, counted_until: instant(october), root }
    }

    /// Writes the hours that are over at `now`, each with the number of bytes that `bytes` returns, and rolls them up.
    fn count_until(&mut self, now: DateTime<Utc>, bytes: impl Fn(DateTime<FixedOffset>) -> u64) {
        while self.counted_until + TimeDelta::hours(1) <= now {
            let local = |at: DateTime<Utc>| at.with_timezone(&self.zone).fixed_offset();
            let next = self.counted_until + TimeDelta::hours(1);
            let (start, end) = (local(self.counted_until), local(next));
            let times = format!("\"start\":\"{}\",\"end\":\"{}\"", start.to_rfc3339(), end.to_rfc3339());
            let mut text = format!(
                "{{\"v\":1,\"kind\":\"hour\",{times},\"port\":{},\"tcp_in_bytes\":{},\"tcp_in_packets\":1,\
                 \"tcp_out_bytes\":0,\"tcp_out_packets\":0,\"udp_in_bytes\":0,\"udp_in_packets\":0,\
                 \"udp_out_bytes\":0,\"udp_out_packets\":0}}\n",
                self.port,
                bytes(start)
            );
            let sum: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(
                text,
                "{{\"v\":1,\"kind\":\"seal\",{times},\"node\":\"{}\",\"epoch\":\"e\",\"quality\":\"exact\",\
                 \"ports\":1,\"sha256\":\"{sum}\"}}",
                self.name
            )
            .unwrap();
            let path = self.root.join("hourly").join(format!("{}.jsonl", start.date_naive()));
            fs::write(&path, fs::read_to_string(&path).unwrap_or_default() + &text).unwrap();
            self.counted_until = next;
        }
        let ended = at(now, &["rollup"], &self.root.join("config.toml"));
        // The days before are complete; otherwise the code would be 6.
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

#[test]
fn a_node_in_los_angeles_loses_nothing_to_a_main_node_in_shanghai() {
    if !have_program("faketime", "other days than today") {
        return;
    }
    let stub = Stub::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let mut la = Counting::new(dir.path(), "la-1", chrono_tz::America::Los_Angeles, "2026-10-01T07:00:00Z", 443);
    let mut sh = Counting::new(dir.path(), "sh-1", chrono_tz::Asia::Shanghai, "2026-09-30T16:00:00Z", 80);
    let main = dir.path().join("config.toml");
    let mut config = "node = \"main\"\ntimezone = \"Asia/Shanghai\"\nstate_dir = \"main\"\n".to_owned();
    for (user, port) in [("alice", 443), ("bob", 80)] {
        writeln!(config, "[[users]]\nname = \"{user}\"\nports = [{port}]\nemail = \"{user}@example.com\"").unwrap();
    }
    for node in ["la-1", "sh-1"] {
        writeln!(config, "[[nodes]]\nname = \"{node}\"\nlocal = true\nstate_dir = \"{node}\"").unwrap();
    }
    write!(
        config,
        "[mail]\nserver = \"smtp+insecure://127.0.0.1:{}\"\nfrom = \"report@example.com\"\n\
         admins = [\"ops@example.com\"]\n",
        stub.port
    )
    .unwrap();
    fs::write(&main, config).unwrap();

    // In Los Angeles 5 bytes an hour, and on the last day 1,000 more in each hour than in the one before, so that no
    // two hours are equal. In Shanghai 7 bytes an hour.
    let in_la = |start: DateTime<FixedOffset>| match start.date_naive() == date("2026-10-31") {
        true => {
            1_000
                * (1 + u64::try_from((start.timestamp() - instant("2026-10-31T07:00:00Z").timestamp()) / 3_600)
                    .unwrap())
        }
        false => 5,
    };
    let run = |la: &mut Counting, sh: &mut Counting, day: &str| {
        // Eleven minutes past midnight in Shanghai. Both nodes have rolled up the hour before.
        let now = instant(&format!("{}T16:11:00Z", date(day) - Days::new(1)));
        la.count_until(now - TimeDelta::minutes(6), in_la);
        sh.count_until(now - TimeDelta::minutes(6), |_| 7);
        let ended = at(now, &["report"], &main);
        let taken = stub.taken();
        (ended, taken)
    };
    let billed = |user: &str| {
        let report = fs::read(dir.path().join("main/reports/2026-10/report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        let statements = report["statements"].as_array().unwrap();
        let found = statements.iter().find(|statement| statement["user"] == user).unwrap();
        (found["billed_bytes"].as_u64().unwrap(), found["state"].as_str().unwrap().to_owned())
    };
    let to = |letters: &[crate::stub::Taken]| letters.iter().map(|letter| letter.to.concat()).collect::<Vec<_>>();

    // September was over on both nodes long ago.
    let (ended, taken) = run(&mut la, &mut sh, "2026-10-31");
    assert_eq!((ended.code, taken.len()), (Some(0), 3), "{ended:?}");

    // In Shanghai, November began eleven minutes ago. In Los Angeles it is 09:11 on the 31st, and nine hours are
    // counted: 30 days of 24 x 5 bytes, and 1,000 + 2,000 + … + 9,000.
    let (ended, taken) = run(&mut la, &mut sh, "2026-11-01");
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("1 of 2 statements are provisional; if no more data arrives, they are final on 2026-11-08")
    );
    assert_eq!(billed("alice"), (3_600 + 45_000, "provisional".to_owned()));
    assert_eq!(billed("bob"), (31 * 24 * 7, "final".to_owned()));
    assert_eq!(to(&taken[3..]), ["alice@example.com", "bob@example.com", "ops@example.com"]);
    let text = |number: usize| parsed(&taken[number].text)["text"].as_str().unwrap().to_owned();
    assert!(
        text(3).contains("If you receive no correction by 00:00 on 8 November 2026, these figures are final."),
        "{}",
        text(3)
    );
    assert!(text(3).contains("Node la-1: 31 Oct may not be complete yet."), "{}", text(3));
    assert!(!text(4).contains("rovisional") && !text(4).contains("la-1"), "{}", text(4));

    // A day later everything is there: 1,000 + … + 24,000.
    let (ended, taken) = run(&mut la, &mut sh, "2026-11-02");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!(billed("alice"), (3_600 + 300_000, "final".to_owned()));
    assert_eq!(billed("bob"), (31 * 24 * 7, "final".to_owned()));
    assert_eq!(to(&taken[6..]), ["alice@example.com", "ops@example.com"]);
    let corrected = parsed(&taken[6].text);
    let text = corrected["text"].as_str().unwrap();
    assert!(corrected["headers"]["Subject"].as_str().unwrap().contains("correction"), "{corrected}");
    assert!(text.contains("303,600 bytes") && text.contains("+255,000") && !text.contains("Provisional"), "{text}");

    // Nothing more follows. The clocks of Los Angeles have gone back in the meantime.
    for day in ["2026-11-03", "2026-11-04"] {
        let (ended, taken) = run(&mut la, &mut sh, day);
        assert_eq!((ended.code, ended.stdout.as_str(), taken.len()), (Some(0), "", 8), "{ended:?}");
    }
    assert_eq!(billed("alice"), (3_600 + 300_000, "final".to_owned()));
}
