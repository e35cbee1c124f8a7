//! TLS and a login are required, with no fallback to less.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::alone::{Alone, all_sent, states};
use crate::common::have_program;
use crate::fleet::{Ended, PROGRAM};
use crate::scripted::{Certificate, PASSWORD, Scripted, make_certificate};

#[test]
fn letters_go_through_tls_and_a_login_and_through_nothing_less() {
    if !have_program("openssl", "certificates") {
        return;
    }
    for (mode, scheme) in [("smtps", "smtps"), ("starttls", "smtp")] {
        let server = Scripted::start(mode);
        server.demand_login();
        let port = server.port;
        let dir = tempfile::tempdir().unwrap();
        let password_file = dir.path().join("password");
        let report = |host: &str, password: &str, certificates: &Path| {
            fs::write(&password_file, password).unwrap();
            let login = format!("username = \"report\"\npassword_file = {password_file:?}\n");
            let alone = Alone::new(&format!("{scheme}://{host}:{port}"), &login);
            let mut command = Command::new(PROGRAM);
            command.args(["report", "--config"]).arg(alone.config()).env("SSL_CERT_FILE", certificates);
            let ended: Ended = command.stdin(Stdio::null()).output().unwrap().into();
            (ended, alone.last_states())
        };

        let (ended, states) = report("localhost", "wrong", &server.certificate());
        assert_eq!(ended.code, Some(7), "{mode}: {ended:?}");
        assert!(ended.stdout.contains("login: 535"), "{mode}: {}", ended.stdout);
        assert!(states.iter().all(|(_, state)| state == "failed"), "{mode}: {states:?}");

        // The certificate is for localhost, not for whoever has that address.
        let (ended, _) = report("127.0.0.1", PASSWORD, &server.certificate());
        assert_eq!(ended.code, Some(7), "{mode}: {ended:?}");
        assert!(ended.stdout.contains("ertificate"), "{mode}: {}", ended.stdout);

        // Another certificate is trusted, not this one.
        let other = tempfile::tempdir().unwrap();
        make_certificate(other.path(), Certificate::OfServer);
        let (ended, _) = report("localhost", PASSWORD, &other.path().join("cert.pem"));
        assert_eq!(ended.code, Some(7), "{mode}: {ended:?}");
        assert!(ended.stdout.contains("ertificate"), "{mode}: {}", ended.stdout);
        assert_eq!(server.letters(), 0, "{mode}");

        let (ended, states) = report("localhost", PASSWORD, &server.certificate());
        assert_eq!((ended.code, states), (Some(0), all_sent()), "{mode}: {}", ended.stdout);
        assert_eq!(server.letters(), 3, "{mode}");
    }
}

/// Makes a report, and asserts that no letter was sent, that the reason was printed once, and that `check` prints the
/// same one.
#[track_caller]
fn refused_once(alone: &Alone, why: &str, help: &str) {
    let ended = alone.report(&[]).with_code(7);
    assert_eq!(ended.stdout.matches(why).count(), 1, "{why}:\n{}", ended.stdout);
    let helps: Vec<&str> = ended.stdout.lines().filter_map(|line| line.trim().strip_prefix("help: ")).collect();
    assert!(helps.len() == 1 && helps[0].contains(help), "{help}:\n{}", ended.stdout);
    assert!(ended.stdout.contains("! 3 letters not sent"), "{}", ended.stdout);
    assert_eq!(alone.last_states(), states(&[("-", "failed"), ("alice", "failed"), ("bob", "failed")]));

    let finding = check(alone);
    assert_eq!(finding["status"], "fail", "{finding}");
    let why = why.rsplit("the mail server: ").next().unwrap();
    assert!(finding["what"].as_str().unwrap().contains(why), "{finding}");
    assert_eq!(finding["help"].as_str(), Some(helps[0]), "{finding}");
}

/// The finding of `check` about the mail server.
fn check(alone: &Alone) -> Value {
    let mut command = Command::new(PROGRAM);
    command.args(["check", "--json", "--config"]).arg(alone.config()).stdin(Stdio::null());
    let ended: Ended = command.output().unwrap().into();
    let mut findings = ended.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    findings.find(|finding| finding["section"] == "mail").unwrap()
}

#[test]
fn a_port_that_does_not_begin_with_tls_is_told_from_one_that_does() {
    if !have_program("openssl", "certificates") {
        return;
    }
    let server = Scripted::start("starttls");
    let alone = Alone::new(&format!("smtps://localhost:{}", server.port), "");
    refused_once(
        &alone,
        "TLS: what the server sends is not TLS",
        "this port begins without TLS: use smtp:// for STARTTLS",
    );

    let server = Scripted::start("smtps");
    let alone = Alone::new(&format!("smtp://localhost:{}", server.port), "");
    let began = Instant::now();
    let help = format!("this port begins with TLS: smtps://localhost:{}", server.port);
    refused_once(&alone, "the server waits for TLS to begin", &help);
    // Three seconds each for `report` and `check`, and an allowance for a busy machine. Without this check it takes a
    // minute each.
    assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
}

#[test]
fn a_certificate_of_ones_own_is_trusted_when_the_configuration_names_it() {
    if !have_program("openssl", "certificates") {
        return;
    }
    for (certificate, why) in [
        (Certificate::OfAuthority, "the server's certificate is self-signed, and this machine does not trust it"),
        (Certificate::OfServer, "the server's certificate is not signed by any authority that this machine trusts"),
    ] {
        let server = Scripted::with("smtps", certificate);
        let url = format!("smtps://localhost:{}", server.port);
        let alone = Alone::new(&url, "");
        refused_once(&alone, why, "authorities of its system (package ca-certificates)");
        assert!(check(&alone)["help"].as_str().unwrap().contains("`mail.ca_file`"));

        let ca_file = format!("ca_file = {:?}\n", server.certificate());
        let alone = Alone::new(&url, &ca_file);
        assert_eq!(check(&alone)["status"], "ok");
        let ended = alone.report(&[]).with_code(0);
        assert_eq!(alone.last_states(), all_sent(), "{}", ended.stdout);

        // The certificate is only for localhost, whichever host was configured.
        let alone = Alone::new(&url.replace("localhost", "127.0.0.1"), &ca_file);
        refused_once(
            &alone,
            "the server's certificate was rejected",
            "the host in `mail.server` must match its certificate",
        );

        // The certificate of another server does not help.
        let other = Scripted::with("smtps", certificate);
        let alone = Alone::new(&url, &format!("ca_file = {:?}\n", other.certificate()));
        let help = format!("and the certificates in `{}`", other.certificate().display());
        refused_once(&alone, "not sent: the mail server: TLS: ", &help);
    }
}

#[test]
fn a_file_of_certificates_that_is_none_is_told_by_check_and_report() {
    let alone = Alone::new("smtps://localhost:1", "ca_file = \"ca.pem\"\n");
    let path = alone.dir.path().join("ca.pem");
    for (content, why) in [(None, "No such file"), (Some("hello\n"), "it holds no certificate in PEM form")] {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let finding = check(&alone);
        let what = finding["what"].as_str().unwrap();
        assert!(what.contains(&format!("`{}`", path.display())) && what.contains(why), "{finding}");
        assert!(finding["help"].as_str().unwrap().contains("`mail.ca_file`"), "{finding}");
        let ended = alone.report(&[]).with_code(7);
        assert!(ended.stderr.contains(why) && ended.stderr.contains("help: `mail.ca_file`"), "{}", ended.stderr);
    }
}
