use super::*;

fn content() -> LetterContent {
    LetterContent {
        subject: "2026年10月 流量".to_owned(),
        text: "你好, Ängström\n.\nQUIT\n".to_owned(),
        html: "<p>你好</p>".to_owned(),
        attachments: vec![LetterAttachment {
            name: "users.csv".to_owned(),
            media_type: "text/csv",
            text: "用户,bytes\nalice,1\n".to_owned(),
        }],
    }
}

fn header(to: &[String]) -> Header<'_> {
    let at = DateTime::parse_from_rfc3339("2026-11-01T00:11:00+08:00").unwrap();
    Header {
        from: "Flow Agent <report@example.com>",
        to,
        message_id: "<x@example.com>",
        reply_to_id: None,
        language: None,
        at,
    }
}

#[test]
fn the_same_content_is_the_same_letter_and_plain_ascii() {
    let to = ["alice@example.com".to_owned()];
    let letter = compose(&header(&to), &content()).unwrap();
    assert_eq!(letter.bytes, compose(&header(&to), &content()).unwrap().bytes);
    assert!(letter.bytes.is_ascii());
    let text = String::from_utf8(letter.bytes).unwrap();
    assert!(text.contains("Date: Sat, 31 Oct 2026 16:11:00 +0000\r\n"), "{text}");
    assert!(text.contains("Message-ID: <x@example.com>\r\n"));
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "every line ends in CR LF");
}

#[test]
fn a_message_id_is_one_of_month_user_and_revision() {
    let id = |node, month: &str, user, rev| {
        message_id(node, "Flow Agent <report@example.com>", month.parse().unwrap(), user, rev)
    };
    let first = id("main", "2026-10", Some("alice"), 0);
    assert_eq!(first, id("main", "2026-10", Some("alice"), 0));
    assert!(first.starts_with("<flow-agent.2026-10.r0.") && first.ends_with("@example.com>"), "{first}");
    let others = [
        id("main", "2026-10", Some("alice"), 1),
        id("main", "2026-11", Some("alice"), 0),
        id("main", "2026-10", Some("bob"), 0),
        id("main", "2026-10", Some("summary"), 0),
        id("main", "2026-10", None, 0),
        id("other", "2026-10", Some("alice"), 0),
    ];
    for other in &others {
        assert_ne!(*other, first);
    }
    assert_ne!(others[3], others[4]);
}

#[test]
fn a_correction_names_the_first_letter() {
    let to = ["alice@example.com".to_owned()];
    let text = |reply_to_id| {
        let letter = compose(&Header { reply_to_id, ..header(&to) }, &content()).unwrap();
        String::from_utf8(letter.bytes).unwrap()
    };
    let correction = text(Some("<first@example.com>"));
    for line in ["In-Reply-To: <first@example.com>\r\n", "References: <first@example.com>\r\n"] {
        assert!(correction.contains(line), "{correction}");
    }
    let first = text(None);
    assert!(!first.contains("In-Reply-To") && !first.contains("References"), "{first}");
}

#[test]
fn a_letter_needs_a_recipient() {
    assert!(compose(&header(&[]), &content()).is_err());
    assert!(matches!(compose(&header(&["not an address".to_owned()]), &content()), Err(ComposeError::Address { .. })));
}
