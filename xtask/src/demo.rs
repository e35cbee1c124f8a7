//! `cargo xtask demo`: runs the whole system with real components on this machine, in about a minute.
//!
//! Two nodes and a main node are network namespaces connected by veth pairs. On each node an agent counts real traffic
//! and a real sshd answers; on the main node a real mail server receives the letters. The totals are compared with
//! iptables rules that count the same ports in the same namespaces.

mod agents;
mod hosts;
mod traffic;
mod verify;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::common::daemon::wait_until;
use crate::common::observer::Observer;
use crate::common::smtpd::Smtpd;
use crate::common::sshd::Sshd;
use crate::packages;
use crate::process::{command, root, run as run_command};
use agents::{MainNode, NodeAgent};
use hosts::Hosts;

/// Shows two nodes, a main node, traffic, ssh and letters, and compares the totals with iptables' counters (root)
#[derive(clap::Args)]
pub struct Options {}

/// A node of the demo, with its name and its customers' ports. The traffic of each port differs, so that a mix-up would
/// show.
struct Node {
    name: &'static str,
    plan: &'static [traffic::TrafficPlan],
}

const NODES: &[Node] = &[
    Node {
        name: "hk-1",
        plan: &[
            traffic::TrafficPlan { port: 443, upload_bytes: 3_000_000, download_bytes: 40_000_000, datagrams: 0 },
            traffic::TrafficPlan { port: 4433, upload_bytes: 200_000, download_bytes: 1_500_000, datagrams: 0 },
            traffic::TrafficPlan { port: 8388, upload_bytes: 1_000_000, download_bytes: 9_000_000, datagrams: 2_000 },
        ],
    },
    Node {
        name: "fr-1",
        plan: &[
            traffic::TrafficPlan { port: 443, upload_bytes: 500_000, download_bytes: 7_000_000, datagrams: 0 },
            traffic::TrafficPlan { port: 8388, upload_bytes: 20_000, download_bytes: 25_000_000, datagrams: 500 },
        ],
    },
];

/// Builds and runs the demo, and checks the result. Fails if a figure differs.
pub fn run(_options: Options) -> Result<()> {
    packages::install(packages::FOR_TESTS)?;
    run_command(&mut command("cargo", ["build", "--quiet", "--locked"]))?;
    let program = root().join("target/debug/flow-agent");
    // The files stay for inspection, while namespaces, mounts, programs and processes are removed.
    let dir = root().join("target/demo");
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("failed to clear {}", dir.display()))?;
    }
    fs::create_dir_all(&dir)?;
    let names: Vec<&str> = NODES.iter().map(|node| node.name).collect();

    say("network namespaces: main, and a veth pair to each node");
    let hosts = Hosts::make(&names)?;

    say("on each node: iptables rules as an independent observer, a real sshd, and an agent with buckets of 5 seconds");
    let mut agents = Vec::new();
    let mut observers = Vec::new();
    let mut sshds = Vec::new();
    for node in NODES {
        let (host, node_dir) = (hosts.node(node.name), dir.join(node.name));
        let ports: Vec<u16> = node.plan.iter().map(|plan| plan.port).collect();
        observers.push(Observer::install(&host.netns, &ports));
        sshds.push(Sshd::start(&host.netns, &node_dir.join("sshd"), &host.address.to_string(), 22, "")?);
        agents.push(NodeAgent::start(&program, host, &node_dir, &ports)?);
    }

    say("real traffic: TCP uploads and downloads over IPv4 and IPv6, and UDP datagrams");
    for node in NODES {
        let host = hosts.node(node.name);
        traffic::play(&hosts.main, &host.netns, &[host.address, host.address6], node.plan)?;
    }
    for observer in &observers {
        wait_until("the last segments have passed", Duration::from_secs(10), || is_quiet(observer));
    }
    // This adds another bucket, so that the letters do not all cover a single one.
    wait_until("a bucket was sealed", Duration::from_secs(15), || agents.iter().all(NodeAgent::has_sealed));
    say("the agents are stopped: each writes a last bucket and rolls up the day");
    for agent in agents {
        agent.stop()?;
    }

    say("on the main node: a real mail server, and `flow-agent report`: gather by scp, total, store, mail");
    let smtpd = Smtpd::start(&hosts.main, &dir.join("mail"), 2525)?;
    let main = MainNode::configure(&program, &hosts, &dir.join("main"), &names, &sshds, &smtpd)?;
    main.report()?;
    main.show_months()?;

    say("the totals, compared with iptables' counters");
    verify::run(&main, &smtpd, NODES, &observers)?;
    print_places(&dir, &main, &smtpd);
    Ok(())
}

/// Whether nothing was counted for 300 ms.
fn is_quiet(observer: &Observer) -> bool {
    let before = observer.read();
    std::thread::sleep(Duration::from_millis(300));
    before == observer.read()
}

fn say(what: &str) {
    println!("\n== {what}");
}

fn print_places(dir: &Path, main: &MainNode, smtpd: &Smtpd) {
    println!("\nhourly and daily logs   {}", dir.join("*/state/{hourly,daily}/").display());
    println!("monthly log             {}", main.state_dir().join("monthly/").display());
    println!("report page             {}", main.state_dir().join("reports/*/report.html").display());
    println!("letters, as received    {}", smtpd.maildirs().join("*/new/").display());
}
