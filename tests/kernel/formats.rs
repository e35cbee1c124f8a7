//! Ports that are added, removed and passed on in the files of many panels at once while an agent runs. Every byte is
//! counted for whoever owned the port at that moment, and all of them are what an independent observer saw.

mod writers;

use std::collections::BTreeMap;
use std::time::Duration;

use flow_agent::answer::client;
use serde_json::Value;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::common::observer::Observer;
use crate::support::send;
use writers::{Owned, Panel, panels};

const DEADLINE: Duration = Duration::from_secs(60);
/// A datagram of 100 bytes with its IP and UDP headers.
const DATAGRAM: u64 = 100 + 20 + 8;

/// Three ports for each format: one that changes its owner, one that is removed, and one that is added.
fn ports(index: usize) -> [u16; 3] {
    let first = 8_000 + 10 * u16::try_from(index).unwrap();
    [first, first + 1, first + 2]
}

/// Makes every panel write who owns which of its three ports now.
fn write_all(panels: &[Panel], owners: impl Fn([u16; 3]) -> Vec<(u16, &'static str)>) {
    for (index, panel) in panels.iter().enumerate() {
        panel.write(&owners(ports(index)));
    }
}

fn send_to_each(pair: &Pair, panels: &[Panel], which: usize, count: usize) {
    for index in 0..panels.len() {
        inside(&pair.peer, || send(PEER4, (HOST4, ports(index)[which]), 100, count));
    }
}

/// Datagrams in the log, by port and owner.
fn logged(node: &Node) -> BTreeMap<(u16, String), u64> {
    let mut logged = BTreeMap::new();
    for line in node.hourly().iter().filter(|line| line["kind"] == "hour") {
        let port = u16::try_from(line["port"].as_u64().unwrap()).unwrap();
        let user = line.get("user").and_then(Value::as_str).unwrap_or_default().to_owned();
        *logged.entry((port, user)).or_default() += line["udp_in_bytes"].as_u64().unwrap() / DATAGRAM;
    }
    logged
}

/// Waits until the log has this many datagrams of this port of these formats.
fn wait_for(node: &Node, panels: &[Panel], what: &str, which: usize, datagrams: u64, among: fn(&Panel) -> bool) {
    wait_until(what, DEADLINE, || {
        let logged = logged(node);
        panels
            .iter()
            .enumerate()
            .filter(|(_, panel)| among(panel))
            .all(|(index, panel)| logged.get(&(ports(index)[which], panel.shown("ada").to_owned())) == Some(&datagrams))
    });
}

/// How many ports are counted since the last change, according to the agent's log.
fn counted_now(node: &Node) -> Option<usize> {
    let log = node.log();
    let (before, _) = log.rsplit_once(" counted\n")?;
    before.rsplit(", ").next()?.parse().ok()
}

#[test]
fn ports_of_every_format_come_go_and_change_hands_without_a_byte_lost_or_misplaced() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[], "");
    let panels = panels(&node.path("panels"));
    let files: Vec<_> = panels.iter().map(Panel::in_configuration).collect();
    node.append_config(&format!("files = [{}]\n", files.join(", ")));
    let all: Vec<u16> = (0..panels.len()).flat_map(ports).collect();
    let observer = Observer::install(&pair.host, &all);

    write_all(&panels, |[kept, going, _]| vec![(kept, "ada"), (going, "ada")]);
    node.start(&["--bucket", "1h"]);
    send_to_each(&pair, &panels, 0, 3);
    send_to_each(&pair, &panels, 1, 5);

    write_all(&panels, |[kept, going, coming]| vec![(kept, "ada"), (going, "ada"), (coming, "carl")]);
    wait_until("the new ports are counted", DEADLINE, || counted_now(&node) == Some(3 * panels.len()));
    send_to_each(&pair, &panels, 0, 7);
    send_to_each(&pair, &panels, 2, 2);

    write_all(&panels, |[kept, _, coming]| vec![(kept, "ada"), (coming, "carl")]);
    wait_for(&node, &panels, "the last lines of the ports that went", 1, 5, |_| true);
    wait_until("nothing drains any more", DEADLINE, || {
        let hourly = node.hourly();
        let closed = hourly.iter().filter(|line| line["closed"] == true).count();
        closed == panels.len()
    });
    send_to_each(&pair, &panels, 1, 4);
    send_to_each(&pair, &panels, 0, 1);

    write_all(&panels, |[kept, _, coming]| vec![(kept, "bob"), (coming, "carl")]);
    let know_owners = |panel: &Panel| panel.owned() != Owned::ByNobody;
    wait_for(&node, &panels, "the ports are handed over", 0, 3 + 7 + 1, know_owners);
    // The panels are read one after the other, so the last one may be read when the bytes so far are already in the
    // log.
    wait_until("every port is the next owner's", DEADLINE, || {
        let Ok(now) = client::now(&node.socket()) else { return false };
        panels.iter().enumerate().filter(|(_, panel)| know_owners(panel)).all(|(index, _)| {
            let kept = now.ports.iter().find(|port| port.port == ports(index)[0]);
            kept.is_some_and(|port| port.user.as_deref() == Some("bob"))
        })
    });
    send_to_each(&pair, &panels, 0, 9);
    node.stop();

    let logged = logged(&node);
    for (index, panel) in panels.iter().enumerate() {
        let [kept, going, coming] = ports(index);
        let of = |port: u16, user: &str| logged.get(&(port, user.to_owned())).copied().unwrap_or_default();
        let found = match panel.owned() {
            Owned::EachByItsOwn => [of(kept, "ada"), of(kept, "bob"), of(going, "ada"), of(coming, "carl")],
            Owned::AllByOne => [of(kept, "ada"), of(kept, "bob"), of(going, "ada"), of(coming, "ada")],
            Owned::ByNobody => [of(kept, "") - 9, 9, of(going, ""), of(coming, "")],
        };
        assert_eq!(found, [11, 9, 5, 2], "{}: {}", panel.format, node.log());
    }
    assert_eq!(node.other("other_ports").0, 4 * DATAGRAM * panels.len() as u64);
    let observed = observer.read();
    let seen: u64 = all.iter().map(|port| observed[&(*port, "udp".to_owned(), "INPUT".to_owned())].0).sum();
    let counted: u64 = logged.values().sum::<u64>() * DATAGRAM;
    assert_eq!(counted + node.other("other_ports").0, seen);
}

#[cfg(feature = "sqlite")]
#[test]
fn a_database_that_is_locked_for_ten_seconds_keeps_its_last_good_list_and_holds_up_nobody() {
    use std::thread::sleep;

    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[], "files = [{ path = \"x-ui.db\", format = \"3x-ui\" }]\n");
    let panel = rusqlite::Connection::open(node.path("x-ui.db")).unwrap();
    // Without a write-ahead log, a transaction that spills into the file is half visible to everybody.
    panel.execute_batch("PRAGMA journal_mode = delete; PRAGMA cache_size = 1").unwrap();
    panel.busy_timeout(Duration::ZERO).unwrap();
    panel
        .execute_batch("CREATE TABLE inbounds (id INTEGER PRIMARY KEY, port INTEGER, remark TEXT, settings TEXT)")
        .unwrap();
    let add = |port: u16| {
        let settings = format!("{{\"clients\":[{{\"email\":\"user-{port}\"}}]}}");
        panel.execute("INSERT INTO inbounds (port, remark, settings) VALUES (?1, 'r', ?2)", (port, settings)).unwrap();
    };
    add(443);
    node.start(&["--bucket", "1s"]);
    let observer = Observer::install(&pair.host, &[443, 8_000]);
    panel.execute_batch("BEGIN EXCLUSIVE").unwrap();
    (8_000..9_500).for_each(add);
    for second in 0..10 {
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 1 + second));
        sleep(Duration::from_secs(1));
    }
    let said = "a transaction has been open for 2000 ms: keeping its last good list of 1 port";
    wait_until("the lock is noticed", DEADLINE, || node.log().contains(said));
    assert_eq!(counted_now(&node), None, "{}", node.log());
    // Nothing blocks the panel, which does not wait.
    panel.execute_batch("COMMIT").unwrap();
    wait_until("the new ports are counted", DEADLINE, || counted_now(&node) == Some(1_501));
    inside(&pair.peer, || send(PEER4, (HOST4, 8_000), 100, 7));
    node.stop();
    let logged = logged(&node);
    let expected = [((443, "user-443".to_owned()), 55), ((8_000, "user-8000".to_owned()), 7)];
    assert_eq!(logged.into_iter().filter(|(_, datagrams)| *datagrams > 0).collect::<Vec<_>>(), expected);
    let observed = observer.read();
    let seen = [443, 8_000].map(|port| observed[&(port, "udp".to_owned(), "INPUT".to_owned())].1);
    assert_eq!(seen, [55, 7]);
}
