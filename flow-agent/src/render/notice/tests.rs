use std::collections::BTreeMap;

use super::*;

fn sender() -> NoticeSender<'static> {
    let at = DateTime::parse_from_rfc3339("2026-10-20T13:05:00+08:00").unwrap();
    NoticeSender { node: "hk-1", at, month_start_day: 1 }
}

#[test]
fn every_notice_says_what_happened_and_what_follows() {
    let templates = Templates::new(&BTreeMap::new()).unwrap();
    for language in [Language::English, Language::Chinese] {
        let texts = of_every_kind("ada").into_iter().map(|one| {
            let letter = notice(&templates, &one, sender(), language).unwrap();
            format!("== {}\n{}", letter.subject, letter.text)
        });
        let texts = texts.collect::<Vec<_>>().join("\n");
        assert!(!texts.contains("[notice"), "a word is missing: {texts}");
        let html = notice(&templates, &of_every_kind("ada")[0], sender(), language).unwrap().html;
        for part in ["455.00 GiB (91 %)", "500 GiB", "45.00 GiB", "700.00 GiB", "hk-1", "2026-10-20 13:05 +08:00"] {
            assert!(texts.contains(part) && html.contains(part), "{part} is missing: {texts}{html}");
        }
    }
}

#[test]
fn whatever_a_name_is_it_is_only_text() {
    let templates = Templates::new(&BTreeMap::new()).unwrap();
    for name in ["<script>alert(1)</script>", "\"><img src=x>", "{{ 7 * 7 }}"] {
        for one in of_every_kind(name) {
            let html = notice(&templates, &one, sender(), Language::English).unwrap().html;
            assert!(!html.contains("<script") && !html.contains("<img") && !html.contains(">49<"), "{html}");
        }
    }
}

#[test]
fn a_level_beyond_the_quota_is_called_used_up() {
    let subject = Subject { level: Some(120), ..of_every_kind("ada")[0].subject.clone() };
    let one = Notice { subject, ..of_every_kind("ada")[0].clone() };
    let templates = Templates::new(&BTreeMap::new()).unwrap();
    let title = notice(&templates, &one, sender(), Language::English).unwrap().subject;
    assert!(title.contains("used up"), "{title}");
}
