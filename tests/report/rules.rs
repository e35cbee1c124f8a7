//! The rules of a bill, from the nodes' files to the letters: when a month begins, who owned a port when, what is
//! billed, what came before, and hundreds of users. The nodes are this machine, so neither root nor ssh is needed.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use chrono::{Datelike as _, Days, Months, NaiveDate, Utc};
use serde_json::Value;

use crate::alone::Alone;
use crate::days::{Month, line, month_of, moved, put, sealed_with};
use crate::fleet::{Ended, PROGRAM, lines, parsed};
use crate::month::thousands;
use crate::stub::Stub;

/// The first day of the last billing month that is over, if months begin on `day`.
fn last_complete_from(day: u32) -> NaiveDate {
    let today = Utc::now().date_naive();
    let this = today.with_day(day).unwrap();
    let begun = if this <= today { this } else { this - Months::new(1) };
    begun - Months::new(1)
}

#[test]
fn a_month_may_begin_on_the_15th_and_a_port_may_change_hands_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let first = last_complete_from(15);
    let (before, after) = (first - Months::new(1), first + Months::new(1));
    // Every day of this billing month and of the one before, and one more day before and after. On the i-th day of this
    // month alice moves 10 i bytes in and 30 i out, and on every day of the month before 7 in and 1 out. If one of the
    // two extra days were included, it would show.
    let mut files: BTreeMap<String, (Month, String)> = BTreeMap::new();
    for day in (before - Days::new(1)).iter_days().take_while(|day| *day <= after) {
        let number = u64::try_from((day - first).num_days() + 1).unwrap_or(0);
        let bytes = match day {
            _ if day < before || day == after => [1_000_000, 1_000_000, 0, 0],
            // The larger direction is billed: in this month, incoming.
            _ if day < first => [7, 1, 0, 0],
            _ => [10 * number, 30 * number, 0, 0],
        };
        // Port 8388 belongs to carol for ten days of this month, and then to bob.
        let hands = if day < first + Days::new(10) { "carol" } else { "bob" };
        let lines = [line(day, &moved(443, None, bytes)), line(day, &moved(8388, Some(hands), [0, 0, 1, 0]))];
        let (_, text) =
            files.entry(day.format("%Y-%m").to_string()).or_insert_with(|| (Month { first: day }, String::new()));
        text.push_str(&sealed_with("hk-1", day, &lines, 86_400, "Asia/Shanghai"));
    }
    files.values().for_each(|(month, text)| put(&path("hk-1"), month, text));
    let mut text = String::from("node = \"main\"\ntimezone = \"UTC\"\nmonth_start_day = 15\nstate_dir = \"main\"\n");
    for user in ["alice", "bob", "carol"] {
        let ports = if user == "alice" { "[443]" } else { "[]" };
        text += &format!("[[users]]\nname = \"{user}\"\nports = {ports}\nemail = \"{user}@example.com\"\n");
    }
    text += "[[nodes]]\nname = \"hk-1\"\nlocal = true\nstate_dir = \"hk-1\"\n\
             [report]\nbilled = \"max\"\nprice = { per = \"KiB\", amount = \"0.10\", currency = \"CNY\" }\n\
             [mail]\nserver = \"smtp+insecure://127.0.0.1:1\"\nfrom = \"report@example.com\"\nadmins = [\"ops@example.com\"]\n";
    fs::write(path("config.toml"), text).unwrap();
    let report = |arguments: &[&str]| -> Ended {
        let mut command = Command::new(PROGRAM);
        command.args(["report", "--no-mail"]).args(arguments).arg("--config").arg(path("config.toml"));
        command.stdin(Stdio::null()).output().unwrap().into()
    };
    report(&["--month", &before.format("%Y-%m").to_string()]).with_code(0);
    // If no month is named, it is the last one that is over, which is not reported yet.
    report(&[]).with_code(0);

    let month = first.format("%Y-%m").to_string();
    let days = u64::try_from((after - first).num_days()).unwrap();
    let of_month = |user: &str| {
        let log = lines(&path("main/monthly").join(format!("{}.jsonl", first.year())));
        log.into_iter().find(|line| line["month"] == month.as_str() && line["user"] == user).unwrap()
    };
    let sum = days * (days + 1) / 2;
    assert_eq!(of_month("alice")["tcp_in_bytes"], 10 * sum);
    assert_eq!(of_month("alice")["tcp_out_bytes"], 30 * sum);
    assert_eq!(
        (&of_month("carol")["udp_in_bytes"], &of_month("bob")["udp_in_bytes"]),
        (&10.into(), &(days - 10).into())
    );

    let reports = path("main/reports").join(&month);
    let letter = |to: &str| {
        let letters = fs::read_dir(&reports).unwrap().map(|entry| entry.unwrap().path());
        let letters = letters.filter(|path| path.extension().is_some_and(|extension| extension == "eml"));
        let mut letters = letters.map(|path| parsed(&fs::read_to_string(path).unwrap()));
        letters.find(|letter| letter["headers"]["To"] == to).unwrap()
    };
    let alice = letter("alice@example.com");
    let text = alice["text"].as_str().unwrap();
    // The larger direction is out. In hundredths: ten per KiB, rounded half up.
    let hundredths = (30 * sum * 10 * 2 + 1_024) / (2 * 1_024);
    let days_before = u64::try_from((first - before).num_days()).unwrap();
    let busiest = (0..5).map(|back| {
        let day = after - Days::new(1 + back);
        format!("{} ({})", day.format("%-d %b"), bytes(40 * (days - back)))
    });
    for expected in [
        format!("{} bytes (bytes in or out, whichever is more)", thousands(30 * sum)),
        format!("Amount due: {}.{:02} CNY", hundredths / 100, hundredths % 100),
        format!("{} – {}", first.format("%-d %B %Y"), (after - Days::new(1)).format("%-d %B %Y")),
        format!(
            "Previous month ({} – {}): {}, +",
            before.format("%-d %B %Y"),
            (first - Days::new(1)).format("%-d %B %Y"),
            bytes(7 * days_before)
        ),
        format!("Busiest days: {}", busiest.collect::<Vec<_>>().join(", ")),
        "The days of node hk-1 follow the time zone Asia/Shanghai.".to_owned(),
    ] {
        assert!(text.contains(&expected), "{expected}\n{text}");
    }
    let summary = letter("ops@example.com");
    assert!(
        summary["text"].as_str().unwrap().contains("The days of node hk-1 follow the time zone Asia/Shanghai."),
        "{summary:#}"
    );
}

/// Below 1,024 in bytes, otherwise in KiB with two decimals.
fn bytes(bytes: u64) -> String {
    if bytes < 1_024 { format!("{bytes} B") } else { format!("{:.2} KiB", bytes as f64 / 1_024.0) }
}

#[test]
fn hundreds_of_users_come_from_a_file_that_may_change() {
    const USERS: u16 = 200;
    let stub = Stub::start(&[]);
    let alone = Alone::with(&stub);
    let port = |number: u16| 10_000 + number;
    // One more port than users; it has no owner for now.
    let moves: Vec<_> = (0..=USERS).map(|number| moved(port(number), None, [u64::from(number), 0, 0, 0])).collect();
    put(&alone.state_dir(), &alone.month, &month_of("alone", &alone.month, &moves));
    let row = |number: u16| format!("acct-{number},{},u{number}@example.com,en,\n", port(number));
    let rows = |users: u16| (0..users).map(row).collect::<String>();
    let users_file = alone.dir.path().join("users.csv");
    fs::write(&users_file, format!("name,ports,email,language,quota\n{}", rows(USERS))).unwrap();
    let config = fs::read_to_string(alone.config()).unwrap();
    fs::write(alone.config(), format!("users_file = \"users.csv\"\n{config}")).unwrap();

    let ended = alone.report(&[]).with_code(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    let days = u64::try_from(alone.month.days().count()).unwrap();
    // Including alice, bob and the administrator.
    let mut to: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for letter in stub.taken() {
        to.entry(letter.to.concat()).or_default().push(letter.text);
    }
    assert_eq!(to.len(), usize::from(USERS) + 3);
    assert!(to.values().all(|letters| letters.len() == 1));
    let text = parsed(&to["u199@example.com"][0])["text"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("{} bytes", thousands(199 * days))), "{text}");
    let summary = parsed(&to["ops@example.com"][0]);
    let (text, html) = (summary["text"].as_str().unwrap(), summary["html"].as_str().unwrap());
    assert!((0..USERS).all(|number| text.lines().any(|line| line.ends_with(&format!("  acct-{number}")))), "{text}");
    // 200 users, two others and a port. The mail lists 50 of them, which keeps it below the size at which mail programs
    // cut it off.
    assert!(html.contains("… 153 more in the CSV file") && html.len() < 100_000, "{} bytes", html.len());
    let rows_of_csv = parsed(&to["ops@example.com"][0])["attachments"].as_object().unwrap().values().next().cloned();
    assert_eq!(rows_of_csv.unwrap().as_str().unwrap().lines().count(), 1 + 2 + usize::from(USERS) + 1);

    // With one more user, this user gets a first letter, and nobody else gets one except the administrator.
    let before = stub.taken().len();
    fs::write(&users_file, format!("name,ports,email,language,quota\n{}", rows(USERS + 1))).unwrap();
    alone.report(&["--month", &alone.month.name()]).with_code(0);
    let later: Vec<_> = stub.taken().split_off(before);
    let to: Vec<_> = later.iter().map(|letter| letter.to.concat()).collect();
    assert_eq!(to, ["u200@example.com", "ops@example.com"]);
    let first = parsed(&later[0].text);
    assert!(!first["headers"]["Subject"].as_str().unwrap().contains("orrection"), "{first:#}");
    assert!(first["text"].as_str().unwrap().contains(&format!("{} bytes", thousands(200 * days))), "{first:#}");
}

#[test]
fn reports_that_are_started_at_once_send_one_letter_each() {
    let stub = Stub::start(&[]);
    let alone = Alone::with(&stub);
    let start = || {
        let mut command = Command::new(PROGRAM);
        command.args(["report", "--config"]).arg(alone.config()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..4).map(|_| start()).collect();
    let mut codes = Vec::new();
    for child in children {
        let ended: Ended = child.wait_with_output().unwrap().into();
        // Either it succeeded, or it was rejected because another one holds the lock.
        assert!(matches!(ended.code, Some(0 | 5)), "{ended:?}");
        assert!(ended.code == Some(0) || ended.stderr.contains("holds"), "{ended:?}");
        codes.push(ended.code);
    }
    assert!(codes.contains(&Some(0)), "{codes:?}");
    assert_eq!(alone.report(&[]).with_code(0).stdout, "");
    let to: Vec<_> = stub.taken().iter().map(|letter| letter.to.concat()).collect();
    assert_eq!(to, ["alice@example.com", "bob@example.com", "ops@example.com"]);
}

#[test]
fn of_a_month_that_no_node_has_nobody_gets_a_letter() {
    let stub = Stub::start(&[]);
    let alone = Alone::with(&stub);
    fs::remove_dir_all(alone.state_dir().join("daily")).unwrap();
    let ended = alone.report(&[]).with_code(6);
    assert!(
        ended.stdout.contains("letters are withheld as long as there is no data from any node"),
        "{}",
        ended.stdout
    );
    let to: Vec<_> = stub.taken().iter().map(|letter| letter.to.concat()).collect();
    assert_eq!(to, ["ops@example.com"], "the admin is told");
    put(&alone.state_dir(), &alone.month, &month_of("alone", &alone.month, &[moved(443, None, [1, 2, 3, 4])]));
    alone.report(&[]).with_code(0);
    let alice: Vec<_> = stub.taken().into_iter().filter(|letter| letter.to == ["alice@example.com"]).collect();
    assert_eq!(alice.len(), 1);
    let subject = parsed(&alice[0].text)["headers"]["Subject"].clone();
    assert!(!subject.as_str().unwrap().contains("orrection"), "{subject}");
}

#[test]
fn templates_of_the_operator_are_used_and_refused_before_anything_is_sent() {
    let stub = Stub::start(&[]);
    let alone =
        Alone::new(&format!("smtp+insecure://127.0.0.1:{}", stub.port), "[report]\ntemplates = \"templates\"\n");
    let templates = alone.dir.path().join("templates");
    fs::create_dir(&templates).unwrap();
    let check = || {
        let mut command = Command::new(PROGRAM);
        command.args(["check", "--json", "--config"]).arg(alone.config()).stdin(Stdio::null());
        let ended: Ended = command.output().unwrap().into();
        let lines = ended.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["section"] == "config").map(|line| line.to_string()).collect::<String>()
    };
    // Only a letter that corrects another would use this.
    fs::write(templates.join("letter.txt"), "{% if correction %}{{ correction.wsa }}{% endif %}").unwrap();
    let said = check();
    assert!(said.contains("letter.txt") && said.contains("fail"), "{said}");
    let ended = alone.report(&[]).with_code(3);
    assert!(ended.stderr.contains("letter.txt"), "{ended:?}");
    assert!(stub.taken().is_empty());

    fs::write(templates.join("letter.txt"), "Dear {{ user }}, {{ billed.exact }} bytes.").unwrap();
    fs::write(templates.join("leter.html"), "").unwrap();
    let said = check();
    assert!(said.contains("can be used") && said.contains("leter.html"), "{said}");
    alone.report(&[]).with_code(0);
    let days = u64::try_from(alone.month.days().count()).unwrap();
    let alice = stub.taken().into_iter().find(|letter| letter.to == ["alice@example.com"]).unwrap();
    let text = parsed(&alice.text)["text"].as_str().unwrap().trim().to_owned();
    assert_eq!(text, format!("Dear alice, {} bytes.", thousands(10 * days)));
}

#[test]
fn a_node_that_was_called_otherwise_is_the_same_node() {
    let stub = Stub::start(&[]);
    let limit = "[[users]]\nname = \"carol\"\nports = [8388]\nemail = \"carol@example.com\"\nnodes = [\"hk-old\"]\n";
    let alone = Alone::new(&format!("smtp+insecure://127.0.0.1:{}", stub.port), limit);
    let nodes = "[[nodes]]\nname = \"hk-1\"\naliases = [\"hk-old\"]\nlocal = true\nstate_dir = \"state\"\n";
    let config = fs::read_to_string(alone.config()).unwrap();
    fs::write(alone.config(), config + nodes).unwrap();
    let all: Vec<_> = alone.month.days().collect();
    let day = |node: &str, day: NaiveDate| {
        sealed_with(node, day, &[line(day, &moved(8388, None, [1, 0, 0, 0]))], 86_400, "UTC")
    };
    // The node was renamed in the middle of the month.
    let text = all.iter().map(|date| day(if *date < all[10] { "hk-old" } else { "hk-1" }, *date)).collect::<String>();
    put(&alone.state_dir(), &alone.month, &text);
    alone.report(&[]).with_code(0);
    let carol = stub.taken().into_iter().find(|letter| letter.to == ["carol@example.com"]).unwrap();
    let text = parsed(&carol.text)["text"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("{} bytes", all.len())), "{text}");
}
