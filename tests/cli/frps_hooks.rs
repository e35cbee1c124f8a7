//! Requests to `flow-agent frps-hooks` over HTTP, as frps sends them to its plugins.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use flow_agent::ports::PortFileFormat;
use flow_agent::ports::formats::of;
use serde_json::json;

use crate::common::daemon::{Daemon, wait_until};
use crate::program::flow_agent;

const DEADLINE: Duration = Duration::from_secs(20);

/// The answer that makes frps proceed as if it had not asked.
const GO_ON: &str = r#"{"reject":false,"unchange":true}"#;

struct Hooks {
    _process: Daemon,
    address: SocketAddr,
    list: PathBuf,
}

/// Starts it with its list in `directory`, and waits until it listens.
fn start(directory: &Path, arguments: &[&str]) -> Hooks {
    // A port that is free now. Another process would have to take it within a moment.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let list = directory.join("frps-hooks.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_flow-agent"));
    command.arg("frps-hooks").args(["--listen", &address.to_string(), "--list", list.to_str().unwrap()]);
    let process = Daemon::start(command.args(arguments).stderr(Stdio::null())).unwrap();
    wait_until("it listens", DEADLINE, || TcpStream::connect(address).is_ok());
    Hooks { _process: process, address, list }
}

impl Hooks {
    /// The status and the body of the answer to a request.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}", self.address, body.len());
        write!(stream, "{head}\r\nContent-Type: application/json\r\nX-Frp-Reqid: 1\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Sends a request as frps does.
    fn tell(&self, op: &str, user: &str, name: &str, port: u16) {
        let user = json!({ "user": user, "metas": null, "run_id": "a1b2c3" });
        let content = json!({ "user": user, "proxy_name": name, "proxy_type": "udp", "remote_port": port });
        let body = json!({ "version": "0.1.0", "op": op, "content": content }).to_string();
        let answer = self.ask("POST", &format!("/flow-agent?version=0.1.0&op={op}"), &body);
        assert_eq!(answer, (200, GO_ON.to_owned()));
    }

    /// The ports of the list, as the agent reads them.
    fn owners(&self) -> Vec<(u16, Option<String>)> {
        let listed = of(PortFileFormat::Frps).parse(&fs::read(&self.list).unwrap()).unwrap();
        listed.owners.into_iter().collect()
    }
}

fn of_user(port: u16, user: &str) -> (u16, Option<String>) {
    (port, Some(user.to_owned()))
}

#[test]
fn the_list_says_what_frps_told_before_frps_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let hooks = start(directory.path(), &[]);
    assert_eq!(hooks.owners(), []);
    hooks.tell("NewProxy", "ada", "ada.game", 6000);
    assert_eq!(hooks.owners(), [of_user(6000, "ada")]);
    hooks.tell("NewProxy", "bob", "bob.game", 6001);
    assert_eq!(hooks.owners(), [of_user(6000, "ada"), of_user(6001, "bob")]);
    drop(hooks);
    // frps was restarted at the same time, and bob's client takes the port of ada's, who is offline.
    let hooks = start(directory.path(), &[]);
    assert_eq!(hooks.owners(), [of_user(6000, "ada"), of_user(6001, "bob")]);
    hooks.tell("NewProxy", "bob", "bob.other", 6000);
    assert_eq!(hooks.owners(), [of_user(6000, "bob"), of_user(6001, "bob")]);
}

#[test]
fn whatever_it_is_told_and_whatever_becomes_of_the_list_frps_may_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let hooks = start(&inner, &[]);
    for body in ["", "{", "[]", "{\"op\":7}", "{\"op\":\"NewProxy\"}", "{\"op\":\"CloseProxy\",\"content\":[]}"] {
        assert_eq!(hooks.ask("POST", "/flow-agent", body), (200, GO_ON.to_owned()), "{body}");
    }
    hooks.tell("Login", "ada", "", 0);
    assert_eq!(hooks.owners(), []);
    // The list cannot be written for a while.
    fs::rename(&inner, directory.path().join("gone")).unwrap();
    hooks.tell("NewProxy", "ada", "ada.game", 6000);
    assert!(!hooks.list.exists());
    fs::rename(directory.path().join("gone"), &inner).unwrap();
    wait_until("the list is written", DEADLINE, || hooks.owners() == [of_user(6000, "ada")]);
}

#[test]
fn other_requests_than_those_of_frps_are_refused_and_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("path");
    fs::write(&secret, "/5f1e0a\n").unwrap();
    let hooks = start(directory.path(), &["--path-file", secret.to_str().unwrap()]);
    let proxy = json!({ "op": "NewProxy", "content": { "proxy_name": "p", "proxy_type": "tcp", "remote_port": 6000 } });
    assert_eq!(hooks.ask("POST", "/flow-agent", &proxy.to_string()).0, 404);
    assert_eq!(hooks.ask("GET", "/5f1e0a", "").0, 405);
    assert_eq!(hooks.ask("POST", "/5f1e0a", &" ".repeat(65 << 10)).0, 413);
    assert_eq!(hooks.owners(), []);
    assert_eq!(hooks.ask("POST", "/5f1e0a?op=NewProxy", &proxy.to_string()).0, 200);
    assert_eq!(hooks.owners(), [(6000, None)]);
}

#[test]
fn it_listens_at_no_address_that_others_can_reach() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list.json");
    for address in ["0.0.0.0:7501", "[::]:7501", "192.0.2.1:7501", "[::ffff:192.0.2.1]:7501"] {
        let said = flow_agent(&["frps-hooks", "--listen", address, "--list", list.to_str().unwrap()]);
        assert_eq!(said.code, Some(2), "{address}: {}", said.stderr);
        assert!(said.stderr.contains("can be reached from other machines"), "{}", said.stderr);
    }
    let said = flow_agent(&["frps-hooks", "--path", "flow", "--list", list.to_str().unwrap()]);
    assert!(said.code == Some(3) && said.stderr.contains("does not begin with `/`"), "{}", said.stderr);
    for other in ["{\"mine\": true}", "{\"proxies\": ["] {
        fs::write(&list, other).unwrap();
        let said = flow_agent(&["frps-hooks", "--list", list.to_str().unwrap()]);
        assert!(said.code == Some(5) && said.stderr.contains("choose another file"), "{}", said.stderr);
        assert_eq!(fs::read_to_string(&list).unwrap(), other);
    }
}
