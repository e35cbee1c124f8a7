//! A mail server that wants TLS and a login: Python's `ssl`, with a certificate that openssl made.
//!
//! (The OpenSMTPD of Debian 12 cannot be it: its separated private key does not work with OpenSSL 3.)

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::alone::{Alone, all_sent};
use crate::common::daemon::{Daemon, wait_until};
use crate::common::have_program;
use crate::common::netns::run;
use crate::fleet::{Ended, PROGRAM};

const PASSWORD: &str = "correct horse battery staple";

/// `argv`: mode, certificate, key, the login that is right (base64 of `\0report\0PASSWORD`), where to write the port, where
/// to append a line for every letter.
const SERVER: &str = r#"
import os, socket, ssl, sys, threading
mode, certificate, key, login, port_file, letters = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
server = socket.create_server(("127.0.0.1", 0))
with open(port_file + ".new", "w") as file:
    file.write(str(server.getsockname()[1]))
os.rename(port_file + ".new", port_file)

def talk(connection):
    encrypted = mode == "smtps"
    if encrypted:
        connection = context.wrap_socket(connection, server_side=True)
    lines = connection.makefile("rwb")
    def say(text):
        lines.write(text + b"\r\n")
        lines.flush()
    say(b"220 tls ESMTP")
    known = False
    while line := lines.readline().strip():
        verb = line[:4].upper()
        if verb == b"EHLO":
            say(b"250-tls\r\n250 AUTH PLAIN" if encrypted else b"250-tls\r\n250 STARTTLS")
        elif verb == b"STAR" and not encrypted:
            say(b"220 go on")
            connection = context.wrap_socket(connection, server_side=True)
            lines, encrypted = connection.makefile("rwb"), True
        elif verb == b"QUIT":
            return say(b"221 bye")
        elif not encrypted:
            say(b"530 5.7.0 STARTTLS first")
        elif verb == b"AUTH":
            known = line == b"AUTH PLAIN " + login.encode()
            say(b"235 2.7.0 welcome" if known else b"535 5.7.8 no")
        elif not known:
            say(b"530 5.7.0 log in first")
        elif verb == b"DATA":
            say(b"354 go on")
            while lines.readline() != b".\r\n":
                pass
            with open(letters, "a") as file:
                file.write("letter\n")
            say(b"250 2.0.0 taken")
        else:
            say(b"250 ok")

def serve(connection):
    try:
        talk(connection)
    except (ssl.SSLError, OSError):
        pass
    connection.close()

while True:
    connection, _ = server.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"#;

/// A certificate for `localhost` that nobody vouches for but itself, and its key.
fn certificate(dir: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"]);
    run(openssl.arg("-keyout").arg(dir.join("key.pem")).arg("-out").arg(dir.join("cert.pem")));
}

#[test]
fn letters_go_through_tls_and_a_login_and_through_nothing_less() {
    if !have_program("openssl", "certificates") {
        return;
    }
    for (mode, scheme) in [("smtps", "smtps"), ("starttls", "smtp")] {
        let dir = tempfile::tempdir().unwrap();
        certificate(dir.path());
        let path = |name: &str| dir.path().join(name);
        // `printf '\0report\0correct horse battery staple' | base64`
        let login = "AHJlcG9ydABjb3JyZWN0IGhvcnNlIGJhdHRlcnkgc3RhcGxl";
        let mut python = Command::new("python3");
        python.args(["-c", SERVER, mode]).arg(path("cert.pem")).arg(path("key.pem")).arg(login);
        python.arg(path("port")).arg(path("letters")).stdin(Stdio::null());
        let _server = Daemon::start(&mut python).unwrap();
        wait_until("the TLS server listens", Duration::from_secs(20), || path("port").exists());
        let port = fs::read_to_string(path("port")).unwrap();
        let letters = || fs::read_to_string(path("letters")).unwrap_or_default().lines().count();
        let report = |host: &str, password: &str, certificates: &Path| {
            fs::write(path("password"), password).unwrap();
            let login = format!("username = \"report\"\npassword_file = {:?}\n", path("password"));
            let alone = Alone::new(&format!("{scheme}://{host}:{port}"), &login);
            let mut command = Command::new(PROGRAM);
            command.args(["report", "--config"]).arg(alone.config()).env("SSL_CERT_FILE", certificates);
            let ended: Ended = command.stdin(Stdio::null()).output().unwrap().into();
            (ended, alone.last_states())
        };

        let (ended, states) = report("localhost", "wrong", &path("cert.pem"));
        assert_eq!(ended.code, Some(7), "{mode}: {ended:?}");
        assert!(ended.stdout.contains("login: 535"), "{mode}: {}", ended.stdout);
        assert!(states.iter().all(|(_, state)| state == "failed"), "{mode}: {states:?}");

        // It vouches for localhost, not for whoever has that address.
        let (ended, _) = report("127.0.0.1", PASSWORD, &path("cert.pem"));
        assert_eq!(ended.code, Some(7), "{mode}: {ended:?}");
        assert!(ended.stdout.contains("ertificate"), "{mode}: {}", ended.stdout);

        // Somebody else's certificate is trusted, not this one.
        let other = tempfile::tempdir().unwrap();
        certificate(other.path());
        let (ended, _) = report("localhost", PASSWORD, &other.path().join("cert.pem"));
        assert_eq!(ended.code, Some(7), "{mode}: {ended:?}");
        assert!(ended.stdout.contains("ertificate"), "{mode}: {}", ended.stdout);
        assert_eq!(letters(), 0, "{mode}");

        let (ended, states) = report("localhost", PASSWORD, &path("cert.pem"));
        assert_eq!((ended.code, states), (Some(0), all_sent()), "{mode}: {}", ended.stdout);
        assert_eq!(letters(), 3, "{mode}");
    }
}
