//! TLS in front of a receiver that speaks plain HTTP, with a certificate from an authority made for the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::daemon::{Daemon, wait_until};
use crate::common::netns::run;

/// Forwards what arrives over TLS, and what comes back.
const FRONT: &str = r#"
import os, socket, ssl, sys, threading
directory, behind = sys.argv[1], int(sys.argv[2])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(directory + "/cert.pem", directory + "/key.pem")
listener = socket.create_server(("127.0.0.1", 0))
with open(directory + "/port.new", "w") as file:
    file.write(str(listener.getsockname()[1]))
os.rename(directory + "/port.new", directory + "/port")

def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass

def serve(connection):
    try:
        connection = context.wrap_socket(connection, server_side=True)
    except (ssl.SSLError, OSError):
        return
    server = socket.create_connection(("127.0.0.1", behind))
    threading.Thread(target=pump, args=(connection, server), daemon=True).start()
    pump(server, connection)
    connection.close()

while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"#;

pub struct TlsFront {
    pub port: u16,
    directory: tempfile::TempDir,
    _daemon: Daemon,
}

impl TlsFront {
    /// Starts in front of the receiver on the port `behind`, with a certificate for `localhost`.
    pub fn start(behind: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        make_certificates(directory.path());
        let mut python = Command::new("python3");
        python.args(["-c", FRONT]).arg(directory.path()).arg(behind.to_string()).stdin(Stdio::null());
        let daemon = Daemon::start(&mut python).unwrap();
        let port = directory.path().join("port");
        wait_until("the TLS front listens", Duration::from_secs(60), || port.exists());
        let port = fs::read_to_string(port).unwrap().parse().unwrap();
        Self { port, directory, _daemon: daemon }
    }

    /// The certificate of the authority.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }
}

/// Makes an authority, and a certificate for `localhost` signed by it.
fn make_certificates(directory: &Path) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let path = |name: &str| directory.join(name);
    run(Command::new("openssl")
        .args(["req", "-x509", "-days", "2", "-subj", "/CN=flow-agent test authority"])
        .args(key)
        .arg("-keyout")
        .arg(path("ca-key.pem"))
        .arg("-out")
        .arg(path("ca.pem")));
    run(Command::new("openssl")
        .args(["req", "-subj", "/CN=localhost"])
        .args(key)
        .arg("-keyout")
        .arg(path("key.pem"))
        .arg("-out")
        .arg(path("request.pem")));
    let extensions = "subjectAltName=DNS:localhost\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n";
    fs::write(path("extensions"), extensions).unwrap();
    run(Command::new("openssl")
        .args(["x509", "-req", "-days", "2", "-CAcreateserial"])
        .arg("-in")
        .arg(path("request.pem"))
        .arg("-CA")
        .arg(path("ca.pem"))
        .arg("-CAkey")
        .arg(path("ca-key.pem"))
        .arg("-extfile")
        .arg(path("extensions"))
        .arg("-out")
        .arg(path("cert.pem")));
}
