//! `show` and `top` while an agent runs: exact up to now, and in a real terminal.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::agent::{Node, PROGRAM};
use crate::common::daemon::wait_until;
use crate::common::have_program;
use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::support::send;

/// The size of the IP and UDP headers.
const UDP4: u64 = 20 + 8;

const PATIENCE: Duration = Duration::from_secs(30);

fn json(node: &Node, arguments: &[&str]) -> Vec<serde_json::Value> {
    let output = node.command(&[arguments, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn show_has_what_moved_a_moment_ago() {
    let Some(pair) = Pair::make() else { return };
    // No checkpoint is written in the meantime.
    let mut node = Node::new(&pair, &[443, 4433], "[[users]]\nname = \"alice\"\nports = [443]\n");
    node.start(&["--checkpoint", "1h"]);
    // 25 MB of payload.
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 1_000, 25_000));
    let moved = 25_000 * (1_000 + UDP4);
    for view in ["hours", "days", "months", "top"] {
        let rows = json(&node, &["show", view, "--user", "alice"]);
        let bytes: u64 = rows.iter().map(|row| row["in_bytes"].as_u64().unwrap()).sum();
        assert_eq!(bytes, moved, "{view}: {rows:?}");
    }
    let output = node.command(&["show"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("counting, read at") && text.contains("24.5 MiB"), "{text}");
    node.stop();
    // The 25,700,000 bytes are in the files now, and the screen says that they are not up to date.
    let text = String::from_utf8(node.command(&["show"]).stdout).unwrap();
    assert!(text.contains("no agent is running") && text.contains("24.5 MiB"), "{text}");
    let output = node.command(&["top"]);
    assert_eq!(output.status.code(), Some(5));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("no agent answers at"), "{words}");
}

#[test]
fn top_prints_lines_where_there_is_no_terminal() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443, 4433], "");
    node.start(&[]);
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 1_000, 1_000));
    let output = node.command(&["top", "--by", "port", "--every", "200ms", "--count", "2", "--filter", "443"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Two answers, each with both ports; 1,028,000 bytes are 1,003.9 KiB.
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains("  443  in ") && text.contains("today 1004 KiB") && !text.contains('\u{1b}'), "{text}");
}

/// A terminal in tmux, with a server of its own that ends when this is dropped.
struct Tmux {
    socket: String,
}

impl Tmux {
    fn start(directory: &std::path::Path, width: &str, height: &str) -> Self {
        let tmux = Self { socket: directory.join("tmux").to_str().unwrap().to_owned() };
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-s", "test", "-x", width, "-y", height, "env PS1='$ ' sh"]);
        tmux
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-S", &self.socket]).args(arguments).env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        let output = command.output().unwrap();
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys", "-t", "test"], keys].concat());
    }

    fn text(&self) -> String {
        self.run(&["capture-pane", "-p", "-t", "test"])
    }

    fn wait_for(&self, what: &str) -> String {
        let mut text = String::new();
        wait_until(&format!("the terminal shows {what:?}"), PATIENCE, || {
            text = self.text();
            text.contains(what)
        });
        text
    }

    /// Whether the alternate screen is on, and whether the cursor is visible.
    fn modes(&self) -> String {
        self.run(&["display-message", "-p", "-t", "test", "#{alternate_on} #{cursor_flag}"]).trim().to_owned()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output();
    }
}

#[test]
fn top_takes_a_real_terminal_and_gives_it_back() {
    if !have_program("tmux", "a real terminal") {
        return;
    }
    let Some(pair) = Pair::make() else { return };
    let users = "[[users]]\nname = \"香港-alice\"\nports = [443]\nquota = \"1 GiB\"\n";
    let mut node = Node::new(&pair, &[443, 4433], users);
    node.start(&[]);
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 1_000, 1_000));
    let directory = tempfile::tempdir().unwrap();
    let tmux = Tmux::start(directory.path(), "80", "24");
    let pids = directory.path().join("pid");
    // The shell writes down its process id before it becomes the program.
    let script = directory.path().join("top.sh");
    let line =
        format!("echo $$ > {}; exec {PROGRAM} top --config {}\n", pids.display(), node.path("config.toml").display());
    fs::write(&script, line).unwrap();
    let start = format!("sh {}; echo ended with $?", script.display());

    tmux.keys(&[&start, "Enter"]);
    let text = tmux.wait_for("香港-alice");
    assert!(text.lines().all(|line| !line.contains("ended with")), "{text}");
    assert_eq!(tmux.modes(), "1 0", "the whole terminal is taken");
    tmux.keys(&["p"]);
    tmux.wait_for("4433");
    tmux.keys(&["/", "4", "4", "3", "3"]);
    tmux.wait_for("1 of 2 ports");
    tmux.keys(&["Escape"]);
    tmux.wait_for("2 ports by rate");
    tmux.run(&["resize-window", "-t", "test", "-x", "140", "-y", "40"]);
    tmux.wait_for("last minute");
    tmux.keys(&["?"]);
    tmux.wait_for("quit");
    tmux.keys(&["q", "q"]);
    tmux.wait_for("ended with 0");
    assert_eq!(tmux.modes(), "0 1", "the terminal is as it was");

    // A signal ends it as well, and what is typed afterwards is echoed.
    tmux.keys(&["clear; ", &start, "Enter"]);
    tmux.wait_for("香港-alice");
    let pid: i32 = fs::read_to_string(&pids).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    tmux.wait_for("ended with 0");
    assert_eq!(tmux.modes(), "0 1", "the terminal is as it was");
    tmux.keys(&["echo typed-here"]);
    tmux.wait_for("typed-here");
}

#[test]
fn top_ends_with_its_terminal() {
    if !have_program("tmux", "a real terminal") {
        return;
    }
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pid");
    let tmux = Tmux::start(directory.path(), "80", "24");
    let script = directory.path().join("top.sh");
    let line =
        format!("echo $$ > {}; exec {PROGRAM} top --config {}\n", pids.display(), node.path("config.toml").display());
    fs::write(&script, line).unwrap();
    tmux.keys(&[&format!("sh {}", script.display()), "Enter"]);
    tmux.wait_for("1 port by rate");
    let pid = fs::read_to_string(&pids).unwrap();
    let command_line = format!("/proc/{}/cmdline", pid.trim());
    assert!(fs::read_to_string(&command_line).unwrap().contains("top"));
    drop(tmux);
    // A process that has ended and was not waited for has an empty command line.
    wait_until("top has ended", PATIENCE, || fs::read(&command_line).map_or(true, |line| line.is_empty()));
}
