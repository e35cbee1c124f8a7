//! `flow-agent check` while an agent counts, after it has ended, and after its programs were removed.

use std::process::Output;
use std::time::Duration;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::{Pair, WAN};

const DEADLINE: Duration = Duration::from_secs(30);

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_agent_that_is_gone_and_programs_that_are_detached_are_failures() {
    for arguments in [&["--attach", "clsact"][..], &["--attach", "auto"], &["--iptables"]] {
        let Some(pair) = Pair::make() else { return };
        let mut node = Node::new(&pair, &[443], "");
        node.start(arguments);
        // The first reading makes the first checkpoint.
        wait_until("the counters were read", DEADLINE, || {
            text(&node.command(&["check"])).contains("the counters were last read at")
        });
        let check = node.command(&["check"]);
        assert_eq!(check.status.code(), Some(0), "{}", text(&check));
        node.kill();
        let check = node.command(&["check"]);
        assert_eq!(check.status.code(), Some(4), "{}", text(&check));
        assert!(text(&check).contains("agent       fail  no agent is running for"), "{}", text(&check));
        let started = ["systemctl enable --now flow-agent", "rc-service flow-agent start", "flow-agent run"];
        let is_said = started.iter().any(|how| text(&check).contains(&format!("help: {how}")));
        assert!(is_said, "{}", text(&check));
        if arguments.contains(&"clsact") {
            pair.host_tc(&["qdisc", "del", "dev", WAN, "clsact"]);
            let check = text(&node.command(&["check"]));
            let expected = format!("fail  `{WAN}` should be counted, but nothing of this agent is attached to it");
            let lost = format!("fail  no longer attached to `{WAN}`: ");
            assert!(check.contains(&expected) || check.contains(&lost), "{check}");
        }
    }
}
