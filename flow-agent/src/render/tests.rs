use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::ledger::billing::{Billed, Money, Price};
use crate::ledger::counters::Counters;
use crate::ledger::record::{Gap, Quality};
use crate::ledger::statement::{Coverage, MonthlyReport, NodeState, NodeStatement, Said, State, Statement};

const GIB: u64 = 1 << 30;

fn at(text: &str) -> chrono::DateTime<chrono::FixedOffset> {
    chrono::DateTime::parse_from_rfc3339(text).unwrap()
}

fn node(name: &str, missing: bool) -> NodeStatement {
    let gap = Gap {
        start: at("2026-10-05T13:00:00+08:00"),
        end: at("2026-10-05T13:10:00+08:00"),
        interface: "eth0".to_owned(),
        why: "interface was <deleted>".to_owned(),
    };
    NodeStatement {
        name: name.to_owned(),
        state: if missing { NodeState::Missing } else { NodeState::Gathered },
        why: missing.then(|| "scp failed (<b>connection</b> refused)".to_owned()),
        other_zone: None,
        coverage: Coverage { seconds_covered: if missing { 0 } else { 2_677_800 }, seconds: 2_678_400 },
        total: if missing { Counters::default() } else { Counters { tcp_out_bytes: 3 * GIB, ..Counters::default() } },
        days_missing: Vec::new(),
        quality: BTreeMap::from([(Quality::Exact, 743), (Quality::Reset, 1)]),
        gaps: if missing { Vec::new() } else { vec![gap] },
        gaps_omitted: 0,
        late: None,
    }
}

fn statement_of(user: &str) -> Statement {
    let total = Counters { tcp_in_bytes: GIB, tcp_out_bytes: 2 * GIB, udp_out_bytes: GIB / 2, ..Counters::default() };
    let mut days = vec![(0, 0); 31];
    (days[0], days[4]) = ((GIB / 2, GIB), (GIB / 2, GIB + GIB / 2));
    Statement {
        user: Some(user.to_owned()),
        ports: vec![443, 8000, 8001, 8002],
        total,
        by_node: BTreeMap::from([("hk-1".to_owned(), total)]),
        days,
        billed_bytes: 3 * GIB + GIB / 2,
        quota_bytes: Some(3 * GIB),
        money: Some(Money { amount: "0.35".parse().unwrap(), currency: "CNY".to_owned() }),
        billed_bytes_before: Some(2 * GIB),
        only_on: BTreeSet::new(),
        rev: 0,
        history: Vec::new(),
    }
}

fn report_of(statement: Statement) -> MonthlyReport {
    MonthlyReport {
        v: 1,
        month: "2026-10".parse().unwrap(),
        first_day: "2026-10-01".parse().unwrap(),
        last_day: "2026-10-31".parse().unwrap(),
        zone: chrono_tz::Asia::Shanghai,
        made_at: at("2026-11-01T00:11:00+08:00"),
        first_made_at: Some(at("2026-11-01T00:11:00+08:00")),
        state: State::Provisional,
        rev: 0,
        billed: Billed::Both,
        price: Some(Price { per: GIB, amount: "0.10".parse().unwrap(), currency: "CNY".to_owned() }),
        coverage: Coverage { seconds_covered: 2_677_800, seconds: 2 * 2_678_400 },
        nodes: vec![node("hk-1", false), node("fr-1", true)],
        statements: vec![statement],
    }
}

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
    let said = |state| Said {
        rev: 0,
        at: at("2026-11-01T00:11:00+08:00"),
        state,
        total: Counters::default(),
        billed_bytes: 3 * GIB,
        money: None,
    };
    statement.history = vec![said(State::Provisional)];
    let mut report = report_of(statement);
    let letter = |report: &MonthlyReport| {
        letter::statement(&templates(), report, &report.statements[0], Some(0), Language::English).unwrap()
    };
    let corrected = letter(&report);
    assert!(corrected.subject.contains("correction"), "{}", corrected.subject);
    for text in [&corrected.text, &corrected.html] {
        assert!(text.contains("3.00 GiB") && text.contains("+512.00 MiB") && text.contains("+536,870,912"), "{text}");
    }
    // What was said of a month that was not over was no mistake.
    report.statements[0].history = vec![said(State::InProgress)];
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
