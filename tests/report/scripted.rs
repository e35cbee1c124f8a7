//! A mail server written in Python with its `ssl` module, which answers one stage with any given bytes. It speaks
//! without encryption, with STARTTLS or under TLS, with a certificate made by openssl.
//! TLS, with a certificate that openssl made.
//!
//! (The OpenSMTPD of Debian 12 cannot use TLS, because its separated private key does not work with OpenSSL 3.)

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::daemon::{Daemon, wait_until};
use crate::common::netns::run;

/// `argv`: mode and directory. The directory contains `cert.pem` and `key.pem`; optionally `login`, the only valid
/// login (base64 of `\0USER\0PASSWORD`); and optionally `fault`, a stage and its reply in hex. The server writes
/// `port`, and a line to `letters` for every letter.
const SERVER: &str = r#"
import os, socket, ssl, sys, threading
mode, directory = sys.argv[1:]
path = lambda name: os.path.join(directory, name)
def content(name):
    try:
        with open(path(name)) as file:
            return file.read()
    except FileNotFoundError:
        return ""
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(path("cert.pem"), path("key.pem"))
server = socket.create_server(("127.0.0.1", 0))
with open(path("port.new"), "w") as file:
    file.write(str(server.getsockname()[1]))
os.rename(path("port.new"), path("port"))

def talk(connection):
    stage, _, reply = content("fault").partition(" ")
    login = content("login")
    encrypted = mode == "smtps"
    if encrypted:
        connection = context.wrap_socket(connection, server_side=True)
    lines = connection.makefile("rwb")
    # Whether the answer said yes.
    def say(at, text):
        text = bytes.fromhex(reply) if stage == at else text + b"\r\n"
        lines.write(text)
        lines.flush()
        return text[:1] in (b"2", b"3")
    say("greeting", b"220 scripted ESMTP")
    known = not login
    while line := lines.readline().strip():
        verb = line[:4].upper()
        if verb == b"EHLO":
            extensions = b"250-scripted\r\n250 AUTH PLAIN" if encrypted or mode == "clear" else b"250-scripted\r\n250 STARTTLS"
            say("ehlo", extensions)
        elif verb == b"STAR" and not encrypted:
            if say("starttls", b"220 go on"):
                connection = context.wrap_socket(connection, server_side=True)
                lines, encrypted = connection.makefile("rwb"), True
        elif verb == b"QUIT":
            return say("quit", b"221 bye")
        elif verb == b"RSET":
            say("rset", b"250 ok")
        elif not encrypted and mode != "clear":
            say("", b"530 5.7.0 STARTTLS first")
        elif verb == b"AUTH":
            known = line == b"AUTH PLAIN " + login.encode()
            known = say("auth", b"235 2.7.0 welcome" if known else b"535 5.7.8 no") and known
        elif not known:
            say("", b"530 5.7.0 log in first")
        elif verb == b"DATA":
            if say("data", b"354 go on"):
                while (part := lines.readline()) != b".\r\n":
                    if not part:
                        return
                with open(path("letters"), "a") as file:
                    file.write("letter\n")
                say("letter", b"250 2.0.0 taken")
        else:
            say(verb.decode("ascii", "replace").lower(), b"250 ok")

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

pub const PASSWORD: &str = "correct horse battery staple";
/// `printf '\0report\0correct horse battery staple' | base64`
const LOGIN: &str = "AHJlcG9ydABjb3JyZWN0IGhvcnNlIGJhdHRlcnkgc3RhcGxl";

/// Which certificate it has. Either is signed only by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// States that it is a server's.
    OfServer,
    /// What `openssl req -x509` makes by default: one that may sign others.
    OfAuthority,
}

pub struct Scripted {
    pub port: u16,
    dir: tempfile::TempDir,
    _daemon: Daemon,
}

impl Scripted {
    /// `mode` is `clear`, `starttls` or `smtps`.
    pub fn start(mode: &str) -> Self {
        Self::with(mode, Certificate::OfServer)
    }

    pub fn with(mode: &str, certificate: Certificate) -> Self {
        let dir = tempfile::tempdir().unwrap();
        make_certificate(dir.path(), certificate);
        let mut python = Command::new("python3");
        python.args(["-c", SERVER, mode]).arg(dir.path()).stdin(Stdio::null());
        let daemon = Daemon::start(&mut python).unwrap();
        let port = dir.path().join("port");
        wait_until("the scripted mail server listens", Duration::from_secs(60), || port.exists());
        let port = fs::read_to_string(port).unwrap().parse().unwrap();
        Self { port, dir, _daemon: daemon }
    }

    /// From now on, answers `stage` of every connection with these bytes.
    pub fn answer(&self, stage: &str, reply: &[u8]) {
        let hex = reply.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        fs::write(self.dir.path().join("fault"), format!("{stage} {hex}")).unwrap();
    }

    /// Accepts only the login `report` with [`PASSWORD`].
    pub fn demand_login(&self) {
        fs::write(self.dir.path().join("login"), LOGIN).unwrap();
    }

    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// How many letters were received completely.
    pub fn letters(&self) -> usize {
        fs::read_to_string(self.dir.path().join("letters")).unwrap_or_default().lines().count()
    }
}

/// Makes a certificate for `localhost`, and its key. Its subject is unique, because a machine may trust some
/// `CN=localhost`.
pub fn make_certificate(dir: &Path, certificate: Certificate) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    let subject = format!("/CN=flow-agent test {}", dir.file_name().unwrap().to_string_lossy());
    openssl.args(["-subj", &subject, "-addext", "subjectAltName=DNS:localhost"]);
    if certificate == Certificate::OfServer {
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"]);
    }
    run(openssl.arg("-keyout").arg(dir.join("key.pem")).arg("-out").arg(dir.join("cert.pem")));
}
