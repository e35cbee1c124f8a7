#![expect(clippy::disallowed_methods, reason = "one test writes samples to files")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use sha2::Digest as _;

use super::sample::{every_kind, prior_revision, report_of, statement_of};
use super::*;
use crate::ledger::counters::Counters;
use crate::ledger::language::Language;
use crate::ledger::statement::{Completeness, Coverage, Finality, MonthlyReport, NodeStatement, Statement};

fn templates() -> Templates {
    Templates::new(&BTreeMap::new()).unwrap()
}

#[test]
fn a_letter_says_the_figure_first_and_what_is_not_known() {
    let report = report_of(statement_of("alice"));
    for language in [Language::English, Language::Chinese] {
        let letter = letter::statement(&templates(), &report, &report.statements[0], None, language).unwrap();
        insta::assert_snapshot!(
            format!("letter_{}", language.code()),
            format!("{}\n\n{}", letter.subject, letter.text)
        );
    }
}

#[test]
fn a_correction_says_what_was_said_before_and_by_how_much_it_differs() {
    let mut statement = statement_of("alice");
    statement.rev = 1;
    statement.history = vec![prior_revision(Finality::Provisional)];
    let mut report = report_of(statement);
    let letter = |report: &MonthlyReport| {
        letter::statement(&templates(), report, &report.statements[0], Some(0), Language::English).unwrap()
    };
    let corrected = letter(&report);
    assert!(corrected.subject.contains("correction"), "{}", corrected.subject);
    for text in [&corrected.text, &corrected.html] {
        assert!(text.contains("3.00 GiB") && text.contains("+512.00 MiB") && text.contains("+536,870,912"), "{text}");
        assert!(text.contains("0.30 CNY") && text.contains("+0.05 CNY") && text.contains("1 Nov 2026 00:11"), "{text}");
    }
    // The letter about a month that was not over contained no mistake to be corrected.
    report.statements[0].history = vec![prior_revision(Finality::InProgress)];
    assert!(!letter(&report).text.contains("Correction"));
}

#[test]
fn whatever_a_name_is_it_is_only_text() {
    for name in ["<script>alert(1)</script>", "\"><img src=x>", "{{ 7 * 7 }}", "../../x", "=cmd|'/C calc'!A0"] {
        let report = report_of(statement_of(name));
        let templates = templates();
        let letter = letter::statement(&templates, &report, &report.statements[0], None, Language::English).unwrap();
        let summary = summary::summary(&templates, &report, Language::English).unwrap();
        let page = page::page(&templates, &report, Language::English).unwrap();
        for html in [&letter.html, &summary.html, &page] {
            assert!(
                !html.contains("<script>alert") && !html.contains("<img") && !html.contains("<b>connection"),
                "{html}"
            );
            assert!(!html.contains("<deleted>") && !html.contains(">49<"), "{html}");
        }
        assert!(letter.text.contains(name), "{}", letter.text);
        let csv = summary::csv(&report);
        let field = csv.lines().nth(1).unwrap().split(',').nth(1).unwrap();
        assert!(!field.trim_start_matches('"').starts_with('='), "{csv}");
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let report = report_of(statement_of("alice"));
    let page = page::page(&templates(), &report, Language::English).unwrap();
    for outside in ["http://", "https://", "src=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    // Links only lead to another part of the same page.
    assert_eq!(page.matches("href=").count(), page.matches("href=\"#gaps\"").count());
    assert_eq!(page.matches("id=\"gaps\"").count(), 1);
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
}

#[test]
fn the_page_runs_its_own_script_and_no_other() {
    let report = report_of(statement_of("<script>alert(1)</script>"));
    let page = page::page(&templates(), &report, Language::English).unwrap();
    let (before, rest) = page.split_once("<script>").unwrap();
    let (script, after) = rest.split_once("</script>").unwrap();
    assert!(script.contains("addEventListener") || script.contains("onclick"), "{script}");
    assert!(!before.contains("<script") && !after.contains("<script"));
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(script));
    assert!(before.contains(&format!("script-src 'sha256-{hash}'\">")), "{hash}");
    assert!(!before.contains("script-src 'unsafe-inline'"));
}

#[test]
fn a_page_of_the_operator_keeps_its_own_policy() {
    let text = "<meta content=\"script-src 'unsafe-inline'\"><script>a()</script>";
    let page = |text: &str| {
        let templates = Templates::new(&BTreeMap::from([("page.html".to_owned(), text.to_owned())])).unwrap();
        page::page(&templates, &report_of(statement_of("alice")), Language::English).unwrap()
    };
    assert_eq!(page(text), text);
    assert!(page("{{ script_sources | safe }}<script>b()</script>").starts_with("'sha256-"));
}

#[test]
fn both_languages_have_all_words() {
    let templates = templates();
    let keys = |language| templates.words(language).keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(Language::English), keys(Language::Chinese));
    let places = |text: &str| {
        text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    for key in keys(Language::English) {
        let [english, chinese] =
            [Language::English, Language::Chinese].map(|language| templates.words(language).say(&key, &[]));
        assert_eq!(places(&english), places(&chinese), "{key}");
    }
}

#[test]
fn a_template_of_the_operator_takes_the_place_of_ours() {
    let report = report_of(statement_of("alice"));
    let overrides =
        [("letter.txt", "Dear {{ user }}: {{ billed.exact }}"), ("words.en.toml", "subject_provisional = \"Hm\"")];
    let overrides = overrides.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let templates = Templates::new(&overrides).unwrap();
    let letter = letter::statement(&templates, &report, &report.statements[0], None, Language::English).unwrap();
    assert_eq!((letter.subject.as_str(), letter.text.as_str()), ("Hm", "Dear alice: 3,758,096,384"));

    let broken = BTreeMap::from([("letter.txt".to_owned(), "{% if %}".to_owned())]);
    assert_eq!(Templates::new(&broken).unwrap_err().to_string(), "template `letter.txt`");
}

#[test]
fn a_template_is_tried_with_everything_that_may_come() {
    templates().try_out().unwrap();
    let tried = |name: &str, text: &str| {
        let overrides = BTreeMap::from([(name.to_owned(), text.to_owned())]);
        Templates::new(&overrides).and_then(|templates| templates.try_out()).map_err(|error| error.to_string())
    };
    assert_eq!(tried("letter.txt", "{{ user }}"), Ok(()));
    for (name, text, why) in [
        ("letter.txt", "{{ nothing_like_it }}", "template `letter.txt`"),
        // Used only if a letter corrects an earlier one.
        ("letter.html", "{% if correction %}{{ correction.wsa }}{% endif %}", "template `letter.html`"),
        ("letter.html", "{{ t.colour }}", "template `letter.html`"),
        ("summary.txt", "{% if state == 'final' %}{{ t.x }}{% endif %}", "template `summary.txt`"),
        ("page.html", "{% for node in nodes %}{{ node.state.x }}{% endfor %}", "template `page.html`"),
        ("words.en.toml", "subjekt = \"Hm\"", "words `words.en.toml`: there is no `subjekt`"),
        ("words.zh.toml", "subject = \"{user} {sum}\"", "words `words.zh.toml`: `subject` has no `{sum}`"),
    ] {
        assert_eq!(tried(name, text), Err(why.to_owned()), "{text}");
    }
}

#[test]
fn a_day_that_is_not_known_or_has_not_come_is_no_zero() {
    let [corrected, begun, _] = &every_kind()[..] else { panic!("three kinds") };
    let text = |report: &MonthlyReport| {
        letter::statement(&templates(), report, &report.statements[0], None, Language::English).unwrap().text
    };
    let line = |text: &str, day: &str| {
        let found = text.lines().find(|line| line.trim_start().starts_with(day)).unwrap();
        found.split_whitespace().skip(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line(&text(corrected), "3 Oct"), "≥ 0 B");
    assert_eq!(line(&text(corrected), "5 Oct"), format!("2.00 GiB {}", "#".repeat(40)));
    assert_eq!((line(&text(begun), "4 Oct").as_str(), line(&text(begun), "6 – 31 Oct").as_str()), ("0 B", "31 Oct –"));
}

#[test]
fn what_no_bucket_or_a_rejected_one_covers_is_told() {
    let report = &every_kind()[0];
    let letter =
        |language| letter::statement(&templates(), report, &report.statements[0], None, language).unwrap().text;
    let (english, chinese) = (letter(Language::English), letter(Language::Chinese));
    for (text, line) in [
        (&english, "- Node us-1: no data from 6 Oct 23:00 to 7 Oct 01:00 (no record)."),
        (&english, "- Node us-1: no data from 6 Oct 23:00 to 7 Oct 01:00 (the record is damaged)."),
        (&english, "- Node hk-1: eth0 was not counted from 5 Oct 13:00 to 13:10 (another reason)."),
        (&chinese, "- 节点 us-1：10月6日 23:00 至 10月7日 01:00 没有数据（无记录）。"),
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_letter_says_how_much_the_nodes_measured_that_concern_it_and_no_others() {
    let measured = |name: &str, seconds_covered: u64| NodeStatement {
        coverage: Coverage { seconds_covered, seconds: 2_678_400 },
        quality: BTreeMap::new(),
        gaps: Vec::new(),
        completeness: Some(Completeness::Whole),
        ..sample::node(name, false)
    };
    let on = |nodes: &[&str]| Statement {
        by_node: nodes.iter().map(|node| ((*node).to_owned(), Counters::default())).collect(),
        open_nodes: BTreeSet::new(),
        state: Some(Finality::Final),
        ..statement_of("alice")
    };
    let mut report = report_of(on(&["hk-1"]));
    // Half of the month is missing on us-1: 1,339,200 of 2,678,400 seconds, and three quarters of both are measured.
    report.nodes = vec![measured("hk-1", 2_678_400), measured("us-1", 1_339_200)];
    report.coverage = Coverage { seconds_covered: 4_017_600, seconds: 5_356_800 };
    report.state = Finality::Final;
    let letter =
        |statement: &Statement, language| letter::statement(&templates(), &report, statement, None, language).unwrap();
    for (nodes, percent) in [(&["hk-1"][..], "100 %"), (&["us-1"], "50 %"), (&["hk-1", "us-1"], "75 %"), (&[], "0 %")] {
        let statement = on(nodes);
        let in_english = letter(&statement, Language::English);
        let in_chinese = letter(&statement, Language::Chinese);
        for text in [&in_english.text, &in_english.html] {
            assert!(text.contains(&format!("Measured: {percent} of the month")), "{nodes:?} {text}");
            assert_eq!(text.contains("None: the whole month was measured."), nodes == ["hk-1"], "{nodes:?} {text}");
            assert_eq!(text.contains("No node counted these ports in this month."), nodes.is_empty(), "{text}");
        }
        for text in [&in_chinese.text, &in_chinese.html] {
            assert!(text.contains(&format!("数据完整率：{percent}")), "{nodes:?} {text}");
            assert_eq!(text.contains("无：本账期数据完整。"), nodes == ["hk-1"], "{nodes:?} {text}");
            assert_eq!(text.contains("本账期没有任何节点统计过此用户的端口。"), nodes.is_empty(), "{text}");
        }
    }
}

#[test]
fn the_quota_column_is_sorted_by_what_it_shows() {
    // 3.5 GiB were counted and 2.5 GiB used before, of a quota of 3 GiB: 200 %, and 3.5 of 2 GiB are 175 %.
    let used_before = Statement { used_before_bytes: 5 * sample::GIB / 2, ..statement_of("alice") };
    let page = page::page(&templates(), &report_of(used_before), Language::English).unwrap();
    let cell = page.lines().find(|line| line.contains("200 %")).unwrap();
    assert!(cell.contains("\"2000\"") && cell.contains("\"1750\""), "{cell}");
}

#[test]
fn what_was_written_in_decimal_units_is_shown_in_them() {
    let mut report = report_of(statement_of("alice"));
    report.statements[0].quota_bytes = Some(500_000_000_000);
    report.price.as_mut().unwrap().per = 1_000_000_000;
    let letter = letter::statement(&templates(), &report, &report.statements[0], None, Language::English).unwrap();
    // 500,000,000,000 / 2^30 is 465.66.
    assert!(letter.text.contains("Quota: 500 GB (465.66 GiB), used"), "{}", letter.text);
    assert!(letter.text.contains("0.10 CNY per GB, rounded to the cent"), "{}", letter.text);
}

#[test]
fn a_node_that_lacks_days_says_which_beside_its_figure() {
    let report = &every_kind()[0];
    let english = summary::summary(&templates(), report, Language::English).unwrap();
    let page = page::page(&templates(), report, Language::English).unwrap();
    for text in [&english.text, &english.html, &page] {
        assert!(text.contains("3 days missing (12 to 14 Oct)"), "{text}");
        assert!(text.contains("≥ 3.00 GiB"), "{text}");
        assert!(text.contains("2 days missing (3 to 4 Oct), 1 day may not be complete yet (31 Oct)"), "{text}");
    }
    let chinese = summary::summary(&templates(), report, Language::Chinese).unwrap();
    for text in [&chinese.text, &chinese.html] {
        assert!(text.contains("缺 3 天（10月12日至14日）"), "{text}");
    }
    // Nothing is known about fr-1, so no zero is printed for it.
    let letter = letter::statement(&templates(), report, &report.statements[0], None, Language::English).unwrap();
    for text in [&english.text, &letter.text] {
        let line = text.lines().find(|line| line.contains("fr-1")).unwrap();
        assert!(line.contains('–') && !line.contains("0 B"), "{line}");
    }
    // A complete figure is not shown as a lower bound.
    assert!(!summary::summary(&templates(), &every_kind()[2], Language::English).unwrap().text.contains('≥'));
}

#[test]
fn figures_open_in_a_spreadsheet_as_text_of_any_language() {
    let report = report_of(statement_of("张伟"));
    let csv = summary::csv(&report);
    assert_eq!(csv.as_bytes()[..3], [0xef, 0xbb, 0xbf]);
    assert!(csv.trim_start_matches('\u{feff}').starts_with("month,user,"), "{csv}");
    assert!(csv.contains("2026-10,张伟,"), "{csv}");
    assert_eq!(summary::csv_name(&report), "flow-agent-2026-10.csv");
}

#[test]
fn the_amounts_add_up_to_what_is_billed_and_unassigned_ports_have_none() {
    // 0.35, 0.35 and 0.35 for the users, and another 0.35 that nobody pays.
    let mut report = report_of(statement_of("alice"));
    let nobodys = Statement { user: None, ports: vec![4433], billed_bytes: 9 * sample::GIB, ..statement_of("") };
    report.statements.extend([nobodys, statement_of("bob"), statement_of("carol")]);
    let csv = summary::csv(&report);
    let mut reader = csv::Reader::from_reader(csv.trim_start_matches('\u{feff}').as_bytes());
    let column = reader.headers().unwrap().iter().position(|name| name == "amount").unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let amounts = rows.iter().filter_map(|row| row[column].parse::<rust_decimal::Decimal>().ok());
    assert_eq!(amounts.sum::<rust_decimal::Decimal>().to_string(), "1.05");
    let unassigned = rows.iter().find(|row| row[1].is_empty()).unwrap();
    assert_eq!((&unassigned[column], &unassigned[column + 1]), ("", ""));

    let english = summary::summary(&templates(), &report, Language::English).unwrap();
    let page = page::page(&templates(), &report, Language::English).unwrap();
    for text in [&english.text, &english.html, &page] {
        assert!(text.contains("1.05 CNY") && text.matches("0.35 CNY").count() == 3, "{text}");
        // The largest, but below the users.
        let place = |what: &str| text.rfind(what).unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(place("carol") < place("Unassigned ports") && place("Unassigned ports") < place(":4433"), "{text}");
    }
}

#[test]
fn a_page_of_two_thousand_users_takes_little_more_than_a_megabyte() {
    let mut report = report_of(statement_of("alice"));
    let days: Vec<(u64, u64)> = (1..=31).map(|day| (day * sample::GIB, day * day * sample::GIB / 9)).collect();
    let user = |number: u32| Statement { days: days.clone(), ..statement_of(&format!("acct-{number}")) };
    report.statements = (0..2_000).map(user).collect();
    let page = page::page(&templates(), &report, Language::English).unwrap();
    assert!(page.len() < 1_700_000, "{} bytes", page.len());
}

/// Contrast as the Web Content Accessibility Guidelines define it, in hundredths.
fn contrast(one: &str, other: &str) -> u64 {
    let luminance = |colour: &str| {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    };
    let (one, other) = (luminance(one), luminance(other));
    ((one.max(other) + 0.05) / (one.min(other) + 0.05) * 100.0) as u64
}

#[test]
fn text_and_charts_can_be_told_from_the_paper_and_from_each_other() {
    let source = templates().source("page.html").unwrap();
    let schemes: Vec<BTreeMap<String, String>> = source
        .split(":root {")
        .skip(1)
        .map(|rest| {
            let variables = rest.split('}').next().unwrap().split(';').filter_map(|rule| rule.split_once(':'));
            variables.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
        })
        .collect();
    assert_eq!(schemes.len(), 3, "light, dark and print");
    for scheme in &schemes {
        let colour = |name: &str| match scheme[name].as_str() {
            short if short.len() == 4 => {
                short.chars().skip(1).fold("#".to_owned(), |all, digit| all + &format!("{digit}{digit}"))
            }
            long => long.to_owned(),
        };
        let paper = colour("--paper");
        for text in ["--ink", "--dim", "--bad", "--warn"] {
            assert!(contrast(&colour(text), &paper) >= 450, "{text} {scheme:?}");
        }
        for series in ["--in", "--out"] {
            assert!(contrast(&colour(series), &paper) >= 300, "{series} {scheme:?}");
        }
        assert!(contrast(&colour("--in"), &colour("--out")) >= 300, "{scheme:?}");
    }
    for name in ["letter.html", "summary.html"] {
        let source = templates().source(name).unwrap();
        for (at, _) in source.match_indices(";color:#").chain(source.match_indices("\"color:#")) {
            let start = at + source[at..].find('#').unwrap();
            let colour = &source[start..start + 7];
            for paper in ["#ffffff", "#f3f5f7"] {
                assert!(contrast(colour, paper) >= 450 || colour == "#c8701a", "{colour} on {paper} in {name}");
            }
        }
    }
}

/// Writes every kind of letter, summary and page to `target/samples`, for viewing in a browser: `cargo test --lib
/// samples -- --ignored`. The templates are read from the source tree, so that changing one requires no build.
#[test]
#[ignore = "writes files for a person to look at"]
fn samples() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = source.join("../target/samples");
    std::fs::create_dir_all(&target).unwrap();
    let read = |name: &str| (name.to_owned(), std::fs::read_to_string(source.join("templates").join(name)).unwrap());
    let templates = Templates::new(&TEMPLATE_NAMES.map(read).into()).unwrap();
    let write = |name: String, text: &str| std::fs::write(target.join(name), text).unwrap();
    for (kind, report) in ["corrected", "begun", "plain"].into_iter().zip(every_kind()) {
        write(format!("report-{kind}.json"), &serde_json::to_string(&report).unwrap());
        for language in [Language::English, Language::Chinese] {
            let code = language.code();
            let statement = &report.statements[0];
            let prior = statement.history.last().map(|prior| prior.rev);
            let letter = letter::statement(&templates, &report, statement, prior, language).unwrap();
            write(format!("letter-{kind}-{code}.html"), &letter.html);
            write(format!("letter-{kind}-{code}.txt"), &letter.text);
            let summary = summary::summary(&templates, &report, language).unwrap();
            write(format!("summary-{kind}-{code}.html"), &summary.html);
            write(format!("summary-{kind}-{code}.txt"), &summary.text);
            write(format!("page-{kind}-{code}.html"), &page::page(&templates, &report, language).unwrap());
        }
    }
}
