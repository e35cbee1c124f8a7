//! The state directory of a running agent: cut, moved, replaced, unmounted, read-only, full.
//!
//! The test that sends traffic also counts it. In each case everything is in the log once in the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::agent::{Node, files};
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, PEER4, Pair, inside, run};
use crate::store::{fill, own_mounts};
use crate::support::send;

const DEADLINE: Duration = Duration::from_secs(60);
const DATAGRAM: u64 = 100 + 20 + 8;
const LIST: &str = "files = [{ path = \"LIST\", format = \"list\" }]\n";

/// A node whose buckets are closed on demand, by changing the ports in its list.
struct Site {
    pair: Pair,
    node: Node,
    sent: u64,
    rounds: u32,
}

impl Site {
    fn begin(mounts: &[&[&str]]) -> Option<Self> {
        let pair = Pair::make()?;
        let mut node = Node::new(&pair, &[443], "");
        let list = node.path("ports.list");
        node.append_config(&LIST.replace("LIST", list.to_str().unwrap()));
        node.write_list(&[7000]);
        fs::create_dir(node.state_dir()).unwrap();
        let site = node.state_dir();
        for arguments in mounts {
            run(Command::new("mount").args(*arguments).arg(&site));
        }
        node.start(&["--checkpoint", "1s"]);
        Some(Self { pair, node, sent: 0, rounds: 0 })
    }

    fn send(&mut self, count: usize) {
        inside(&self.pair.peer, || send(PEER4, (HOST4, 443), 100, count));
        self.sent += count as u64 * DATAGRAM;
    }

    /// Makes the agent close a bucket, without waiting for it.
    fn ask_for_bucket(&mut self) {
        self.rounds += 1;
        self.node.write_list(&[7000 + u16::try_from(self.rounds).unwrap()]);
    }

    /// The bytes of port 443 in the log that is there now.
    fn logged(&self) -> u64 {
        logged(&self.node.state_dir())
    }

    fn wait_until_logged(&self) {
        wait_until("all is in the log", DEADLINE, || self.logged() == self.sent);
    }

    /// Sends, and waits for the bucket until the agent reports that it is synced, because until then it may be taken
    /// back.
    fn pass(&mut self, count: usize) {
        let said = |site: &Self| site.node.log().lines().filter(|line| line.contains(" in  ")).count();
        let before = said(self);
        self.send(count);
        self.ask_for_bucket();
        self.wait_until_logged();
        wait_until("the agent says so", DEADLINE, || said(self) > before);
    }

    /// Nothing more came in after the last bucket was written, and nothing is there twice.
    fn end(mut self) {
        self.node.stop();
        assert_eq!(self.logged(), self.sent, "{}", self.node.log());
    }

    fn file(&self) -> PathBuf {
        files(&self.node.state_dir().join("hourly")).pop().unwrap()
    }

    fn qualities(&self) -> Vec<String> {
        let seals = lines(&self.node.state_dir()).into_iter().filter(|line| line["kind"] == "seal");
        seals.map(|seal| seal["quality"].as_str().unwrap().to_owned()).collect()
    }
}

fn lines(state: &Path) -> Vec<Value> {
    let hourly = state.join("hourly");
    let paths = if hourly.exists() { files(&hourly) } else { Vec::new() };
    let texts = paths.iter().map(|path| fs::read_to_string(path).unwrap_or_default());
    texts.flat_map(|text| text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<_>>()).collect()
}

fn logged(state: &Path) -> u64 {
    let lines = lines(state).into_iter().filter(|line| line["kind"] == "hour" && line["port"] == 443);
    lines.map(|line| line["udp_in_bytes"].as_u64().unwrap()).sum()
}

/// Mounts the same directory over itself, read-only.
fn cover_read_only(state: &Path) {
    run(Command::new("mount").args(["--bind", "-o", "ro"]).arg(state).arg(state));
}

fn unmount(state: &Path) {
    run(Command::new("umount").arg("--lazy").arg(state));
}

#[test]
fn a_log_that_is_cut_or_removed_is_written_again() {
    let Some(mut site) = Site::begin(&[]) else { return };
    site.pass(1);
    let kept = fs::metadata(site.file()).unwrap().len();
    site.pass(20);
    site.pass(300);
    fs::File::options().write(true).open(site.file()).unwrap().set_len(kept).unwrap();
    assert_eq!(site.logged(), DATAGRAM);
    site.pass(4);
    // The lost buckets closed ports, whose counters no longer exist.
    assert_eq!(site.qualities(), ["exact", "gap", "exact"]);
    fs::remove_file(site.file()).unwrap();
    site.pass(50);
    fs::remove_dir_all(site.node.state_dir().join("hourly")).unwrap();
    site.pass(600);
    site.end();
}

#[test]
fn a_state_directory_that_is_moved_away_is_made_again_and_one_that_comes_back_is_gone_on_with() {
    let Some(mut site) = Site::begin(&[]) else { return };
    let (state, aside, meanwhile) = (site.node.state_dir(), site.node.path("aside"), site.node.path("meanwhile"));
    site.pass(1);
    let instance = fs::read_to_string(state.join("instance")).unwrap();
    fs::rename(&state, &aside).unwrap();
    site.send(20);
    // Without being asked to, because nothing else tells a successor where the counters stand.
    site.wait_until_logged();
    assert_eq!(fs::read_to_string(state.join("instance")).unwrap(), instance);
    site.pass(300);
    fs::rename(&state, &meanwhile).unwrap();
    fs::rename(&aside, &state).unwrap();
    site.wait_until_logged();
    site.pass(4);
    // After a kill and a restart, it continues.
    site.node.kill();
    site.send(50);
    site.node.start(&[]);
    site.end();
}

/// Removes a directory in which the agent may create a file at any moment.
pub fn remove_in_use(dir: &Path) {
    for _ in 0..100 {
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
            other => return other.unwrap(),
        }
    }
    panic!("`{}` was never empty", dir.display());
}

#[test]
fn a_state_directory_that_is_removed_is_made_again() {
    let Some(mut site) = Site::begin(&[]) else { return };
    site.pass(1);
    remove_in_use(&site.node.state_dir());
    site.send(20);
    site.wait_until_logged();
    site.end();
}

#[test]
fn what_is_unmounted_under_the_agent_is_gone_on_with_when_it_is_mounted_again() {
    if !own_mounts() {
        return;
    }
    let disk = tempfile::tempdir().unwrap();
    let source = disk.path().to_str().unwrap().to_owned();
    let Some(mut site) = Site::begin(&[&["--bind", &source]]) else { return };
    let state = site.node.state_dir();
    site.pass(1);
    unmount(&state);
    site.send(20);
    site.wait_until_logged();
    assert_eq!(logged(disk.path()), DATAGRAM);
    run(Command::new("mount").args(["--bind", &source]).arg(&state));
    site.send(300);
    site.wait_until_logged();
    site.node.stop();
    assert_eq!((site.logged(), logged(disk.path())), (site.sent, site.sent));
    unmount(&state);
}

#[test]
fn what_cannot_be_written_is_kept_and_written_when_it_can() {
    if !own_mounts() {
        return;
    }
    let Some(mut site) = Site::begin(&[&["-t", "tmpfs", "-o", "size=1m", "tmpfs"]]) else { return };
    let state = site.node.state_dir();
    site.pass(1);

    cover_read_only(&state);
    site.send(20);
    site.ask_for_bucket();
    wait_until("it says that it cannot write", DEADLINE, || site.node.log().contains("failed to write a bucket"));
    unmount(&state);
    site.wait_until_logged();

    let filler = fill(&state, "filler", 0);
    site.send(300);
    site.ask_for_bucket();
    wait_until("it says that the disk is full", DEADLINE, || site.node.log().contains("free some space"));
    fs::remove_file(filler).unwrap();
    site.wait_until_logged();
    assert!(site.qualities().iter().all(|quality| quality == "exact"), "{:?}", site.qualities());
    site.node.stop();
    assert_eq!(site.logged(), site.sent);
    unmount(&state);
}

#[test]
fn a_state_directory_of_somebody_else_ends_the_agent_with_code_5() {
    let Some(mut site) = Site::begin(&[]) else { return };
    site.pass(1);
    let state = site.node.state_dir();
    fs::rename(&state, site.node.path("aside")).unwrap();
    let other = site.node.path("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("instance"), "0123456789abcdef\n").unwrap();
    // The agent may have created one meanwhile.
    let _ = fs::rename(&state, site.node.path("made"));
    fs::rename(&other, &state).unwrap();
    assert_eq!(site.node.wait_for_end(), Some(5), "{}", site.node.log());
    assert!(!state.join("hourly").exists());
}
