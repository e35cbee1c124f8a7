//! Compares the month's totals and the received letters with what the observers counted.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Node;
use super::agents::MainNode;
use crate::common::daemon::wait_until;
use crate::common::observer::Observer;
use crate::common::smtpd::Smtpd;

/// Bytes by (node, port, protocol, direction).
type Totals = BTreeMap<(String, u16, String, String), u64>;

/// Prints the comparison. Fails if a figure differs or a letter is missing.
pub fn run(main: &MainNode, smtpd: &Smtpd, nodes: &[Node], observers: &[Observer]) -> Result<()> {
    let billed = billed(main)?;
    let mut observed = Totals::new();
    for (node, observer) in nodes.iter().zip(observers) {
        for ((port, protocol, chain), (bytes, _)) in observer.read() {
            let direction = if chain == "INPUT" { "in" } else { "out" };
            observed.insert((node.name.to_owned(), port, protocol, direction.to_owned()), bytes);
        }
    }
    println!("{:<8}{:>6}  {:<4} {:<4}{:>16}{:>16}", "node", "port", "", "", "billed", "iptables");
    for ((node, port, protocol, direction), bytes) in &observed {
        let key = (node.clone(), *port, protocol.clone(), direction.clone());
        let figure = billed.get(&key).copied().unwrap_or(0);
        println!("{node:<8}{port:>6}  {protocol:<4} {direction:<4}{figure:>16}{bytes:>16}");
        ensure!(
            figure == *bytes,
            "{node} port {port} {protocol} {direction}: billed {figure}, iptables counted {bytes}"
        );
    }
    ensure!(observed.values().sum::<u64>() > 0, "the observers saw nothing");
    let users = ["acct-443", "acct-4433", "acct-8388", "ops"];
    // The mail server has accepted all letters, but puts them into the maildirs a little later.
    wait_until("the letters are delivered", Duration::from_secs(20), || {
        users.iter().all(|user| !smtpd.letters(user).is_empty())
    });
    for user in users {
        let letters = smtpd.letters(user).len();
        ensure!(letters == 1, "{user}@example.com received {letters} letters, not 1");
    }
    println!("equal to the byte; every user and the admin have received one letter");
    Ok(())
}

/// The figures in the monthly log. Each demo user has one port, so the user's figures by node are those of the port.
fn billed(main: &MainNode) -> Result<Totals> {
    let mut totals = Totals::new();
    let dir = main.state_dir().join("monthly");
    for entry in fs::read_dir(&dir).with_context(|| format!("failed to read {}", dir.display()))? {
        for line in fs::read_to_string(entry?.path())?.lines() {
            let line: Value = serde_json::from_str(line)?;
            if line["kind"] != "month" {
                continue;
            }
            let port =
                line["ports"][0].as_u64().and_then(|port| u16::try_from(port).ok()).context("a line without a port")?;
            for (node, numbers) in line["by_node"].as_object().context("a line without nodes")? {
                for (protocol, direction) in [("tcp", "in"), ("tcp", "out"), ("udp", "in"), ("udp", "out")] {
                    let bytes =
                        numbers[format!("{protocol}_{direction}_bytes")].as_u64().context("a figure is missing")?;
                    totals.insert((node.clone(), port, protocol.to_owned(), direction.to_owned()), bytes);
                }
            }
        }
    }
    Ok(totals)
}
