//! The real program: a quota in the configuration that is reached, raised by a reload, and recorded in the log.

use std::time::{Duration, Instant};

use super::traffic::{Arrived, Senders};
use super::{LIMIT, OTHER, PORT, QUIET, assert_cut_at, limited_users};
use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::{Pair, inside};

#[test]
fn a_quota_is_kept_over_restarts_and_a_reload_opens_again() {
    let Some(pair) = Pair::make() else { return };
    let arrived = Arrived::install(&pair, PORT);
    let never = Arrived::install(&pair, OTHER);
    let mut node = Node::new(&pair, &[PORT, OTHER], &limited_users(LIMIT));
    node.start(&["--interface", "wan"]);
    let senders = Senders::begin(&pair, PORT);
    wait_until("some has passed", Duration::from_secs(60), || arrived.both() > LIMIT / 10);
    node.kill();
    node.start(&["--interface", "wan"]);
    wait_until("the quota is used up", Duration::from_secs(120), || arrived.both() + super::bound() > LIMIT);
    wait_until("its connections are closed", Duration::from_secs(10), || connections(&pair) == 0);
    let passed = arrived.settle(QUIET);
    assert_cut_at(LIMIT, passed);
    // Opened three times. Each time is measured from the reload, and at least one should fall into a moment when the
    // machine is not busy with others.
    let mut fastest = Duration::MAX;
    let (mut passed, mut quota) = (passed, LIMIT);
    for _ in 0..3 {
        node.replace_config(&format!("{quota} B"), &format!("{} B", quota + 10_000_000));
        quota += 10_000_000;
        let reloaded_at = Instant::now();
        node.signal(rustix::process::Signal::HUP);
        wait_until("it opens", Duration::from_secs(10), || arrived.both() > passed);
        fastest = fastest.min(reloaded_at.elapsed());
        wait_until("the new quota is used up", Duration::from_secs(120), || arrived.both() + super::bound() > quota);
        passed = arrived.settle(QUIET);
        assert_cut_at(quota, passed);
    }
    println!("fact: open {} ms after the reload", fastest.as_millis());
    assert!(fastest <= Duration::from_secs(1), "{fastest:?}");
    senders.end();
    // It has one byte of quota, and is never cut.
    let free = Senders::begin(&pair, OTHER);
    wait_until("a port that is never cut goes on", Duration::from_secs(60), || never.both() > 1_000_000);
    free.end();
    node.stop();
    let blocked: Vec<_> = node.hourly().into_iter().filter_map(|seal| seal.get("blocked").cloned()).collect();
    assert!(blocked.iter().any(|blocked| blocked[PORT.to_string()]["in_packets"].as_u64() > Some(0)), "{blocked:?}");
}

#[test]
fn a_quota_of_a_port_file_is_kept_and_follows_the_file() {
    let Some(pair) = Pair::make() else { return };
    let arrived = Arrived::install(&pair, PORT);
    let mut node = Node::new(&pair, &[], "");
    let file = node.path("mudb.json");
    let write = |quota: u64| {
        let user = format!(r#"[{{"port": {PORT}, "user": "ada", "transfer_enable": {quota}}}]"#);
        std::fs::write(file.with_extension("new"), user).unwrap();
        std::fs::rename(file.with_extension("new"), &file).unwrap();
    };
    write(LIMIT);
    node.append_config(&format!("files = [{{ path = {file:?}, format = \"mudb\" }}]\n[limits]\nport_files = true\n"));
    node.start(&["--interface", "wan"]);
    let senders = Senders::begin(&pair, PORT);
    wait_until("the quota is used up", Duration::from_secs(120), || arrived.both() + super::bound() > LIMIT);
    // The connections are closed within a second, and their resets count towards the quota, too.
    let passed = arrived.settle(Duration::from_secs(2));
    assert_cut_at(LIMIT, passed);
    // With half a file, and an agent that starts meanwhile, no port is opened.
    std::fs::write(&file, "[{\"port\": 83").unwrap();
    node.kill();
    node.start(&["--interface", "wan"]);
    assert_eq!(arrived.settle(QUIET), passed);
    let users = node.command(&["users", "--json"]);
    let ada: serde_json::Value = serde_json::from_slice(&users.stdout).unwrap();
    assert_eq!((&ada["user"], &ada["quota_bytes"]), (&"ada".into(), &LIMIT.into()));
    write(LIMIT + 5_000_000);
    wait_until("it opens", Duration::from_secs(10), || arrived.both() > passed);
    wait_until("it is used up", Duration::from_secs(120), || arrived.both() + super::bound() > LIMIT + 5_000_000);
    assert_cut_at(LIMIT + 5_000_000, arrived.settle(QUIET));
    senders.end();
    node.stop();
}

/// How many TCP connections of [`PORT`] the host has.
fn connections(pair: &Pair) -> usize {
    const ESTABLISHED: &str = "01";
    let table = inside(&pair.host, || std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap());
    let local = format!(":{PORT:04X}");
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields[1].ends_with(&local) && fields[3] == ESTABLISHED).count()
}
