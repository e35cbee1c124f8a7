use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use sha2::Digest as _;

use super::sample::{every_kind, prior_revision, report_of, statement_of};
use super::*;
use crate::ledger::language::Language;
use crate::ledger::statement::{MonthlyReport, State};

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
    statement.history = vec![prior_revision(State::Provisional)];
    let mut report = report_of(statement);
    let letter = |report: &MonthlyReport| {
        letter::statement(&templates(), report, &report.statements[0], Some(0), Language::English).unwrap()
    };
    let corrected = letter(&report);
    assert!(corrected.subject.contains("correction"), "{}", corrected.subject);
    for text in [&corrected.text, &corrected.html] {
        assert!(text.contains("3.00 GiB") && text.contains("+512.00 MiB") && text.contains("+536,870,912"), "{text}");
        assert!(text.contains("0.30 CNY") && text.contains("+0.05 CNY") && text.contains("2026-11-01 00:11"), "{text}");
    }
    // What was said of a month that was not over was no mistake.
    report.statements[0].history = vec![prior_revision(State::InProgress)];
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
    for outside in ["http://", "https://", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
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
        // Only where a letter corrects one.
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
        (&english, "- Node hk-1: eth0 was not counted from 5 Oct 13:00 to 13:10 (interface was <deleted>)."),
        (&chinese, "- 节点 us-1：10月6日 23:00 至 10月7日 01:00 没有数据（无记录）。"),
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
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
