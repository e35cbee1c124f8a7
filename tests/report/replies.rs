//! Only the code of a mail server's reply matters, at every stage, whatever its text is.

use std::fs;
use std::time::Duration;

use flow_agent::mail::{
    Delivery, Header, Letter, LetterContent, MailConfig, MailSecurity, MailServer, Mailer as _, Scope, SmtpMailer,
    SmtpTiming, compose,
};

use crate::alone::{Alone, states};
use crate::common::have_program;
use crate::fleet::lines;
use crate::scripted::{PASSWORD, Scripted};
use crate::stub::GBK;

/// The outcome of handing over a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Sent,
    /// Refused for all letters or for this one; the flag says whether it is transient.
    Refused(Scope, bool),
    Unknown,
}

const TRANSIENT: bool = true;
const PERMANENT: bool = false;

/// A letter to alice, whose text is `text`.
pub fn letter(text: &str) -> Letter {
    let at = chrono::DateTime::parse_from_rfc3339("2026-11-01T00:11:00+08:00").unwrap();
    let to = ["alice@example.com".to_owned()];
    let header = Header {
        from: "report@example.com",
        to: &to,
        message_id: "<x@example.com>",
        reply_to_id: None,
        language: None,
        at,
    };
    let (subject, html) = ("x".to_owned(), "<p>x</p>".to_owned());
    compose(&header, &LetterContent { subject, text: text.to_owned(), html, attachments: Vec::new() }).unwrap()
}

/// A server, a configuration with a login for it, and a runtime.
struct Talk {
    server: Scripted,
    config: MailConfig,
    runtime: tokio::runtime::Runtime,
    _password: tempfile::NamedTempFile,
}

impl Talk {
    fn new(mode: &str) -> Self {
        let server = Scripted::start(mode);
        server.demand_login();
        let security = match mode {
            "smtps" => MailSecurity::Tls,
            "starttls" => MailSecurity::StartTls,
            _ => MailSecurity::Insecure,
        };
        let password = tempfile::NamedTempFile::new().unwrap();
        fs::write(password.path(), PASSWORD).unwrap();
        let config = MailConfig {
            server: MailServer { host: "localhost".to_owned(), port: server.port, security },
            username: Some("report".to_owned()),
            password_file: Some(password.path().to_owned()),
            ca_file: Some(server.certificate()),
            from: "report@example.com".to_owned(),
            admins: Vec::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { server, config, runtime, _password: password }
    }

    /// Hands a letter over while `stage` is answered with `reply`. Returns the outcome, and what the server replied.
    fn hand_over(&self, stage: &str, reply: &[u8]) -> (Outcome, String) {
        self.server.answer(stage, reply);
        let limit = Duration::from_secs(60);
        let mut mailer =
            SmtpMailer::new(&self.config, SmtpTiming { step: limit, greeting: limit, answer: limit }).unwrap();
        self.runtime.block_on(async {
            if let Err(refusal) = mailer.offer(&letter("x\n")).await {
                return (Outcome::Refused(refusal.scope, refusal.is_transient), refusal.reply);
            }
            let delivery = mailer.deliver(&letter("x\n")).await;
            mailer.leave().await;
            match delivery {
                Delivery::Accepted { reply, .. } => (Outcome::Sent, reply),
                Delivery::Refused(refusal) => (Outcome::Refused(refusal.scope, refusal.is_transient), refusal.reply),
                Delivery::Unknown { why } => (Outcome::Unknown, why),
            }
        })
    }
}

/// Every stage of a conversation in `mode`, with the code that continues it, and what a refusal at this stage concerns.
fn stages(mode: &str) -> Vec<(&'static str, &'static str, Scope)> {
    let mut stages = vec![
        ("greeting", "220", Scope::Server),
        ("auth", "235", Scope::Server),
        ("mail", "250", Scope::Server),
        ("rcpt", "250", Scope::Letter),
        ("data", "354", Scope::Letter),
        ("letter", "250", Scope::Letter),
        ("ehlo", "250", Scope::Server),
    ];
    if mode == "starttls" {
        stages.push(("starttls", "220", Scope::Server));
    }
    stages
}

/// A code with an explanation in GBK.
fn in_gbk(code: &str) -> Vec<u8> {
    [code.as_bytes(), b" ", GBK, b": see http://mail.example/help\r\n"].concat()
}

#[test]
fn an_answer_in_gbk_counts_by_its_code_at_every_stage() {
    if !have_program("openssl", "certificates") {
        return;
    }
    for mode in ["clear", "starttls", "smtps"] {
        let talk = Talk::new(mode);
        for (stage, goes_on, scope) in stages(mode) {
            let yes = match stage {
                "ehlo" => [b"250-", GBK, b"\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250 ", GBK, b"\r\n"].concat(),
                _ => in_gbk(goes_on),
            };
            let (outcome, said) = talk.hand_over(stage, &yes);
            assert_eq!(outcome, Outcome::Sent, "{mode} {stage}: {said}");
            if stage == "letter" {
                assert!(said.starts_with("250 \u{fffd}") && said.ends_with(": see http://mail.example/help"), "{said}");
            }
            for (code, persistence) in [("451", TRANSIENT), ("421", TRANSIENT), ("554", PERMANENT), ("571", PERMANENT)]
            {
                let (outcome, said) = talk.hand_over(stage, &in_gbk(code));
                assert_eq!(outcome, Outcome::Refused(scope, persistence), "{mode} {stage} {code}: {said}");
                assert!(
                    said.contains(code) && said.ends_with(": see http://mail.example/help"),
                    "{mode} {stage}: {said}"
                );
            }
        }
    }
}

#[test]
fn what_is_no_answer_is_tried_again_before_the_letter_and_unknown_after_it() {
    if !have_program("openssl", "certificates") {
        return;
    }
    let talk = Talk::new("clear");
    let long = |code: &str| [code.as_bytes(), b" ", &b"\xb5".repeat(2 << 20)[..], b"\r\n"].concat();
    let many = |code: &str| format!("{code}-x\r\n").repeat(50_000) + code + " x\r\n";
    for (stage, reply, expected) in [
        // These are valid replies nevertheless.
        ("rcpt", b"250\r\n".to_vec(), Outcome::Sent),
        ("rcpt", b"550\r\n".to_vec(), Outcome::Refused(Scope::Letter, PERMANENT)),
        ("letter", b"250\n".to_vec(), Outcome::Sent),
        ("letter", b"250 \0\x01\x02ok\0\r\n".to_vec(), Outcome::Sent),
        ("letter", b"550-\r\n550 \r\n".to_vec(), Outcome::Refused(Scope::Letter, PERMANENT)),
        ("letter", long("250"), Outcome::Sent),
        ("letter", long("451"), Outcome::Refused(Scope::Letter, TRANSIENT)),
        ("greeting", long("554"), Outcome::Refused(Scope::Server, PERMANENT)),
        ("mail", many("250").into_bytes(), Outcome::Sent),
        ("letter", many("554").into_bytes(), Outcome::Refused(Scope::Letter, PERMANENT)),
        // These are not: the reply contradicts itself, is not SMTP, or has no end.
        ("rcpt", b"250-a\r\n550 b\r\n".to_vec(), Outcome::Refused(Scope::Letter, TRANSIENT)),
        ("rcpt", b"350 what else?\r\n".to_vec(), Outcome::Refused(Scope::Letter, TRANSIENT)),
        ("data", b"250 ok\r\n".to_vec(), Outcome::Refused(Scope::Letter, TRANSIENT)),
        ("greeting", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Outcome::Refused(Scope::Server, TRANSIENT)),
        ("mail", b"\0\0\0\r\n".to_vec(), Outcome::Refused(Scope::Server, TRANSIENT)),
        ("letter", b"250-a\r\n550 b\r\n".to_vec(), Outcome::Unknown),
        ("letter", b"550-a\r\n250 b\r\n".to_vec(), Outcome::Unknown),
        ("letter", b"354 go on\r\n".to_vec(), Outcome::Unknown),
        ("letter", b"25\r\n".to_vec(), Outcome::Unknown),
        ("letter", b"650 ok\r\n".to_vec(), Outcome::Unknown),
        ("letter", b"\xb5\xc7\xc2\xbc\r\n".to_vec(), Outcome::Unknown),
    ] {
        let start = &reply[..reply.len().min(20)];
        let (outcome, said) = talk.hand_over(stage, &reply);
        assert_eq!(outcome, expected, "{stage} {}: {said}", start.escape_ascii());
        assert!(said.chars().count() <= 400, "{stage} {}: {said}", start.escape_ascii());
        assert!(!said.contains(char::is_control), "{stage} {}: {said:?}", start.escape_ascii());
    }
}

/// Seen with a large Chinese mail provider: the login is refused, and the reason is in GBK.
#[test]
fn a_login_that_is_refused_in_gbk_is_a_login_that_is_refused() {
    if !have_program("openssl", "certificates") {
        return;
    }
    let server = Scripted::start("clear");
    server.answer("auth", &in_gbk("535"));
    let dir = tempfile::tempdir().unwrap();
    let password_file = dir.path().join("password");
    fs::write(&password_file, PASSWORD).unwrap();
    let login = format!("username = \"report\"\npassword_file = {password_file:?}\n");
    let alone = Alone::new(&format!("smtp+insecure://localhost:{}", server.port), &login);
    let ended = alone.report(&[]).with_code(7);
    assert!(ended.stdout.contains("login: 535 \u{fffd}"), "{}", ended.stdout);
    assert!(ended.stdout.contains(": see http://mail.example/help"), "{}", ended.stdout);
    assert_eq!(alone.last_states(), states(&[("-", "failed"), ("alice", "failed"), ("bob", "failed")]));
    for line in lines(&alone.state_dir().join("sent.jsonl")) {
        assert!(line["reply"].as_str().unwrap().starts_with("login: 535 \u{fffd}"), "{line}");
        assert_ne!(line["permanent"], true, "a person looks, and the next run tries again: {line}");
    }
    server.demand_login();
    server.answer("", b"");
    alone.report(&[]).with_code(0);
    assert_eq!(server.letters(), 3);
}
