//! The mail server fails at every stage in every way: nobody gets two letters, nobody gets none, and what cannot be
//! known is recorded as unknown.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use flow_agent::mail::{Delivery, Letter, Mailer as _, Scope, SmtpMailer, SmtpTiming};
use flow_agent::mail::{MailConfig, MailSecurity, MailServer};
use serde_json::Value;

use crate::alone::{ADDRESSES, Alone, all_sent, states};
use crate::stub::{Fault, Stage, Stub};

#[test]
fn what_fails_for_the_moment_is_tried_again_in_the_same_run() {
    let passing = [
        (Stage::Connect, Fault::Drop),
        (Stage::Banner, Fault::Transient),
        (Stage::Banner, Fault::Drop),
        (Stage::Banner, Fault::Nonsense),
        (Stage::Ehlo, Fault::Transient),
        (Stage::Ehlo, Fault::Drop),
        (Stage::Mail, Fault::Transient),
        (Stage::Mail, Fault::Drop),
        (Stage::Mail, Fault::Nonsense),
        (Stage::Rcpt, Fault::Transient),
        (Stage::Rcpt, Fault::Drop),
        (Stage::Data, Fault::Transient),
        (Stage::Data, Fault::Drop),
        (Stage::LetterLost, Fault::Transient),
    ];
    // Each waits for its two seconds, so they run at the same time.
    std::thread::scope(|scope| {
        for fault in passing {
            scope.spawn(move || {
                let stub = Stub::start(&[fault]);
                let alone = Alone::with(&stub);
                let ended = alone.report(&[]);
                assert_eq!(ended.code, Some(0), "{fault:?}: {ended:?}");
                for address in ADDRESSES {
                    assert_eq!(stub.taken_for(address), 1, "{fault:?} {address}");
                }
                assert_eq!(alone.last_states(), all_sent(), "{fault:?}");
            });
        }
    });
}

#[test]
fn what_the_server_refuses_for_good_is_not_tried_again_in_the_same_run() {
    for stage in [Stage::Banner, Stage::Ehlo, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::LetterLost] {
        let stub = Stub::start(&[(stage, Fault::Permanent)]);
        let alone = Alone::with(&stub);
        let ended = alone.report(&[]).with_code(7);
        assert!(ended.stdout.contains("554 5.0.0 never"), "{stage:?}: {}", ended.stdout);
        assert!(stub.taken().len() < 3, "{stage:?}");
        // Either the whole server or one letter was affected. Once that is repaired, another run catches up.
        alone.report(&["--month", &alone.month.name()]).with_code(0);
        for address in ADDRESSES {
            assert_eq!(stub.taken_for(address), 1, "{stage:?} {address}");
        }
        assert_eq!(alone.last_states(), all_sent(), "{stage:?}");
    }
}

#[test]
fn a_connection_lost_after_the_letter_is_unknown_and_never_sent_again_unasked() {
    for (stage, fault) in
        [(Stage::LetterTaken, Fault::Drop), (Stage::LetterLost, Fault::Drop), (Stage::LetterTaken, Fault::Nonsense)]
    {
        let stub = Stub::start(&[(stage, fault)]);
        let alone = Alone::with(&stub);
        let ended = alone.report(&[]).with_code(7);
        assert!(ended.stdout.contains("--resend alice"), "{}", ended.stdout);
        let expected = states(&[("-", "sent"), ("alice", "unknown"), ("bob", "sent")]);
        assert_eq!(alone.last_states(), expected, "{stage:?} {fault:?}");
        let before = stub.taken_for("alice@example.com");
        alone.report(&[]).with_code(0);
        alone.report(&["--month", &alone.month.name()]);
        assert_eq!(stub.taken_for("alice@example.com"), before, "{stage:?} {fault:?}");
        assert_eq!(stub.taken_for("bob@example.com"), 1);

        alone.report(&["--resend", "alice"]).with_code(0);
        assert_eq!(stub.taken_for("alice@example.com"), before + 1);
        assert_eq!(alone.last_states(), all_sent());
        if before == 1 {
            // The receiver can tell that both are the same letter, because their `Message-ID` is the same.
            let letters: Vec<_> =
                stub.taken().into_iter().filter(|letter| letter.to == ["alice@example.com"]).collect();
            assert_eq!(letters[0], letters[1]);
        }
    }
}

#[test]
fn a_letter_that_is_not_there_is_not_sent_again_and_nobody_elses_is_sent_for_it() {
    let stub = Stub::start(&[]);
    let alone = Alone::with(&stub);
    let refused = alone.report(&["--resend", "alcie"]).with_code(2);
    let text = format!("error: `alcie` has no letter for {} that could be sent again\n", alone.month.name());
    assert_eq!(refused.stderr, text + "  help: did you mean `alice`?\n");
    assert_eq!(stub.taken().len(), 0);
    assert!(!alone.state_dir().join("reports").join(alone.month.name()).exists(), "something was begun");

    let config = fs::read_to_string(alone.config()).unwrap();
    fs::write(alone.config(), config.split("[mail]").next().unwrap()).unwrap();
    let refused = alone.report(&["--resend", "alice"]).with_code(3);
    assert!(refused.stderr.starts_with("error: cannot send letters again: there is no [mail]"), "{}", refused.stderr);
}

#[test]
fn one_bad_address_stops_nobody_elses_letter() {
    let stub = Stub::start(&[]);
    stub.refuse("alice@example.com");
    let alone = Alone::with(&stub);
    let ended = alone.report(&[]).with_code(7);
    assert!(ended.stdout.contains("not sent to alice: 550 5.1.1 no such user"), "{}", ended.stdout);
    assert_eq!(alone.last_states(), states(&[("-", "sent"), ("alice", "failed"), ("bob", "sent")]));
    // Reported once: cron does not print it every day, and nobody else gets another letter.
    let ended = alone.report(&[]).with_code(0);
    assert_eq!(ended.stdout, "");
    assert_eq!(stub.taken().len(), 2);
}

#[test]
fn an_administrator_who_is_left_out_of_a_letter_is_reported_once() {
    let stub = Stub::start(&[]);
    stub.refuse("gone@example.org");
    let alone = Alone::with(&stub);
    let config = fs::read_to_string(alone.config()).unwrap();
    let admins = "admins = [\"ops@example.com\", \"gone@example.org\"]";
    fs::write(alone.config(), config.replace("admins = [\"ops@example.com\"]", admins)).unwrap();
    let ended = alone.report(&[]).with_code(7);
    let said = "sent to @admins, but not to example.org: 550 5.1.1 no such user";
    assert!(ended.stdout.contains("letters: 3 sent, 0 failed") && ended.stdout.contains(said), "{}", ended.stdout);
    assert_eq!(alone.last_states(), all_sent());
    assert_eq!(alone.report(&[]).with_code(0).stdout, "");
    assert_eq!(stub.taken_for("ops@example.com"), 1);
}

#[test]
fn nothing_is_said_in_clear_where_tls_is_required() {
    let secret = "correct-horse";
    let dir = tempfile::tempdir().unwrap();
    let password_file = dir.path().join("password");
    fs::write(&password_file, secret).unwrap();
    let login = format!("username = \"report@example.com\"\npassword_file = {password_file:?}\n");
    // The stub does not offer STARTTLS, as a man in the middle would not.
    let stub = Stub::start(&[]);
    let alone = Alone::new(&format!("smtp://127.0.0.1:{}", stub.port), &login);
    let ended = alone.report(&[]).with_code(7);
    assert!(ended.stdout.contains("STARTTLS"), "{}", ended.stdout);
    let verbs: Vec<_> = stub.said().iter().map(|line| line[..4].to_owned()).collect();
    assert!(verbs.iter().all(|verb| verb == "EHLO" || verb == "QUIT"), "{verbs:?}");
    assert!(stub.taken().is_empty());
    assert_eq!(alone.last_states(), states(&[("-", "failed"), ("alice", "failed"), ("bob", "failed")]));
}

#[test]
fn the_password_is_offered_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let password_file = dir.path().join("password");
    fs::write(&password_file, "correct-horse\n").unwrap();
    let login = format!("username = \"report@example.com\"\npassword_file = {password_file:?}\n");
    let stub = Stub::start(&[(Stage::Auth, Fault::Permanent)]);
    let alone = Alone::new(&format!("smtp+insecure://127.0.0.1:{}", stub.port), &login);
    let ended = alone.report(&["-vv"]).with_code(7);
    assert!(ended.stdout.contains("login: 554 5.0.0 never"), "{}", ended.stdout);
    // `printf '\0report@example.com\0correct-horse' | base64`
    let offered = "AUTH PLAIN AHJlcG9ydEBleGFtcGxlLmNvbQBjb3JyZWN0LWhvcnNl";
    assert!(stub.said().iter().any(|line| line == offered), "{:?}", stub.said());
    let ledger = fs::read_to_string(alone.state_dir().join("sent.jsonl")).unwrap();
    for text in [&ended.stdout, &ended.stderr, &ledger] {
        assert!(!text.contains("correct-horse") && !text.contains("Y29ycmVjd"), "{text}");
    }
    alone.report(&[]).with_code(0);
    assert_eq!(stub.taken().len(), 3);
}

#[test]
fn a_login_that_fails_for_the_moment_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let password_file = dir.path().join("password");
    fs::write(&password_file, "correct-horse\n").unwrap();
    let login = format!("username = \"report@example.com\"\npassword_file = {password_file:?}\n");
    std::thread::scope(|scope| {
        for fault in [Fault::Transient, Fault::Drop, Fault::Nonsense] {
            let login = &login;
            scope.spawn(move || {
                let stub = Stub::start(&[(Stage::Auth, fault)]);
                let alone = Alone::new(&format!("smtp+insecure://127.0.0.1:{}", stub.port), login);
                let ended = alone.report(&[]);
                assert_eq!(ended.code, Some(0), "{fault:?}: {ended:?}");
                assert!(ADDRESSES.iter().all(|address| stub.taken_for(address) == 1), "{fault:?}");
                assert_eq!(alone.last_states(), all_sent(), "{fault:?}");
            });
        }
    });
}

#[test]
fn a_damaged_ledger_holds_letters_back() {
    let stub = Stub::start(&[]);
    let alone = Alone::with(&stub);
    alone.report(&["--no-mail"]).with_code(0);
    let ledger = alone.state_dir().join("sent.jsonl");
    fs::write(&ledger, "{\"v\":1,\"kind\":\"mail\",\"user\":\"ali\n").unwrap();
    let ended = alone.report(&[]).with_code(7);
    assert!(ended.stdout.contains("sent.jsonl:1"), "{}", ended.stdout);
    assert!(stub.taken().is_empty());
    fs::write(&ledger, "").unwrap();
    alone.report(&[]).with_code(0);
    assert_eq!(stub.taken().len(), 3);
}

/// Lines that SMTP gives a meaning to.
fn letter() -> Letter {
    crate::replies::letter(".\n..\nQUIT\n")
}

fn mailer(stub: &Stub) -> SmtpMailer {
    mailer_at(stub.port, None)
}

/// `password_file` holds the password for a login.
fn mailer_at(port: u16, password_file: Option<PathBuf>) -> SmtpMailer {
    let username = password_file.as_ref().map(|_| "report@example.com".to_owned());
    let server = MailServer { host: "127.0.0.1".to_owned(), port, security: MailSecurity::Insecure };
    let from = "report@example.com".to_owned();
    let config = MailConfig { server, username, password_file, ca_file: None, from, admins: Vec::new() };
    let limit = Duration::from_millis(300);
    SmtpMailer::new(&config, SmtpTiming { step: limit, greeting: limit, answer: limit }).unwrap()
}

#[test]
fn a_server_that_hangs_is_not_waited_for_for_ever() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let password_file = dir.path().join("password");
    fs::write(&password_file, "correct-horse").unwrap();
    for stage in [Stage::Banner, Stage::Ehlo, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data] {
        let stub = Stub::start(&[(stage, Fault::Hang)]);
        let mut mailer = mailer_at(stub.port, Some(password_file.clone()));
        let refusal = runtime.block_on(mailer.offer(&letter())).unwrap_err();
        assert!(refusal.is_transient && refusal.reply.contains("no answer within 300ms"), "{stage:?}: {refusal:?}");
        let about_all = !matches!(stage, Stage::Rcpt | Stage::Data);
        assert_eq!(refusal.scope == Scope::Server, about_all, "{stage:?}");
        // A new connection is a new attempt.
        runtime.block_on(mailer.offer(&letter())).unwrap();
        assert!(matches!(runtime.block_on(mailer.deliver(&letter())), Delivery::Accepted { .. }));
        assert_eq!(stub.taken_for("alice@example.com"), 1);
    }
    for stage in [Stage::LetterLost, Stage::LetterTaken] {
        let stub = Stub::start(&[(stage, Fault::Hang)]);
        let mut mailer = mailer(&stub);
        runtime.block_on(mailer.offer(&letter())).unwrap();
        let delivery = runtime.block_on(mailer.deliver(&letter()));
        assert!(matches!(delivery, Delivery::Unknown { .. }), "{stage:?}: {delivery:?}");
    }
}

#[test]
fn a_server_that_is_not_there_may_be_there_in_a_moment() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // A port on which nobody listens, because its socket is closed again.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let mut mailer = mailer_at(port, None);
    let refusal = runtime.block_on(mailer.offer(&letter())).unwrap_err();
    assert!(refusal.is_transient && refusal.scope == Scope::Server, "{refusal:?}");
    assert!(refusal.reply.starts_with("connect: "), "{refusal:?}");
}

#[test]
fn an_offer_that_is_taken_back_accepts_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stub = Stub::start(&[]);
    let mut mailer = mailer(&stub);
    runtime.block_on(mailer.offer(&letter())).unwrap();
    runtime.block_on(mailer.leave());
    drop(mailer);
    assert!(stub.taken().is_empty());
    assert!(matches!(runtime.block_on(self::mailer(&stub).deliver(&letter())), Delivery::Refused(_)));
}

#[test]
fn a_letter_arrives_as_it_was_written_dots_and_all() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stub = Stub::start(&[]);
    let mut mailer = mailer(&stub);
    runtime.block_on(mailer.offer(&letter())).unwrap();
    runtime.block_on(mailer.deliver(&letter()));
    let parsed: Value = crate::fleet::parsed(&stub.taken()[0].text);
    assert_eq!(parsed["text"].as_str().unwrap().trim_end(), ".\n..\nQUIT");
}
