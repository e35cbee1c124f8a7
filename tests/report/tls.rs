//! TLS and a login, and nothing less.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::alone::{Alone, all_sent};
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

        // It vouches for localhost, not for whoever has that address.
        let (ended, _) = report("127.0.0.1", PASSWORD, &server.certificate());
        assert_eq!(ended.code, Some(7), "{mode}: {ended:?}");
        assert!(ended.stdout.contains("ertificate"), "{mode}: {}", ended.stdout);

        // Somebody else's certificate is trusted, not this one.
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
