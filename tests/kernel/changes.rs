//! Ports are added and removed a thousand times under flood, according to their file, with occasional kills.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::flood::Flood;
use crate::common::netns::Pair;
use crate::common::observer::Observer;
use crate::soak::{Dice, PORTS};

#[test]
fn a_thousand_changes_under_flood_lose_nothing_and_give_nobody_anothers_bytes() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.write_list(&PORTS);
    node.append_config(&format!("files = [{{ path = {:?}, format = \"list\" }}]\n", node.path("ports.list")));
    node.start(&["--bucket", "1s", "--checkpoint", "1s"]);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    let mut dice = Dice(7);
    let mut counted: BTreeSet<u16> = PORTS.into();
    let mut seen = 0;
    for change in 1..=1_000 {
        // One of them is added or removed, so that every list is a change.
        let port = PORTS[1 + usize::try_from(dice.roll(3)).unwrap()];
        if !counted.remove(&port) {
            counted.insert(port);
        }
        node.write_list(&counted.iter().copied().collect::<Vec<_>>());
        wait_until("the change is taken over", Duration::from_secs(30), || {
            node.log().matches(" counted\n").count() > seen
        });
        seen += 1;
        flood.pass(dice.roll(100));
        if change % 100 == 0 {
            node.kill();
            node.start(&["--bucket", "1s", "--checkpoint", "1s"]);
            seen = 0;
        }
    }
    node.write_list(&PORTS);
    flood.end();
    node.stop();
    // 443 was watched all the time, so it is exact. The others may lack what passed while nobody watched them. That is
    // in `other_ports`, so the sums agree.
    let observed = observer.read();
    let totals = node.totals();
    let (mut logged_in, mut logged_out, mut seen_in, mut seen_out) = (0, 0, 0, 0);
    for port in PORTS {
        let logged = |name: &str| totals.get(&port).map_or(0, |numbers| numbers[name]);
        let seen = |chain: &str| observed[&(port, "udp".to_owned(), chain.to_owned())].0;
        if port == 443 {
            assert_eq!((logged("udp_in_bytes"), logged("udp_out_bytes")), (seen("INPUT"), seen("OUTPUT")));
        }
        assert!(logged("udp_in_bytes") <= seen("INPUT"), "port {port} got another's bytes");
        // Each port's datagrams have a length of their own, so bytes of another port would show.
        let length = 100 + PORTS.iter().position(|p| *p == port).unwrap() as u64 + 28;
        for direction in ["in", "out"] {
            let (bytes, packets) =
                (logged(&format!("udp_{direction}_bytes")), logged(&format!("udp_{direction}_packets")));
            assert_eq!(bytes, packets * length, "port {port} {direction}");
        }
        logged_in += logged("udp_in_bytes");
        logged_out += logged("udp_out_bytes");
        seen_in += seen("INPUT");
        seen_out += seen("OUTPUT");
    }
    let (other_in, _, other_out, _) = node.other("other_ports");
    // Only datagrams of these ports pass, so the flood's sockets at the peer add nothing to `other_ports`.
    assert_eq!((logged_in + other_in, logged_out + other_out), (seen_in, seen_out), "{}", node.log());
}
