//! Two network namespaces joined by a veth pair: the node's, and its customers', in which the main node is, too.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::common::daemon::wait_until;
use crate::process::output;

/// The node's address, and that of everybody else.
pub const NODE: &str = "10.78.0.2";
pub const PEER: &str = "10.78.0.1";

/// They are gone when this is dropped.
pub struct Network {
    pub node: String,
    pub peer: String,
}

impl Network {
    /// # Errors
    /// When `ip` fails, as it does without root.
    pub fn make() -> Result<Self> {
        let name = format!("fa-systemd-{}", std::process::id());
        let network = Self { node: format!("{name}-node"), peer: format!("{name}-peer") };
        add(&network.peer)?;
        network.join()?;
        Ok(network)
    }

    /// Makes the node's namespace anew, as a reboot does: what was attached to the old one is gone with it.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn renew(&self) -> Result<()> {
        ip(&["netns", "del", &self.node])?;
        // Its device goes a little later; the new one takes its name.
        wait_until("the old device is gone", Duration::from_secs(30), || {
            ip(&["-n", &self.peer, "link", "show", "dev", "lan"]).is_err()
        });
        self.join()
    }

    fn join(&self) -> Result<()> {
        add(&self.node)?;
        ip(&["-n", &self.peer, "link", "add", "lan", "type", "veth", "peer", "name", "wan", "netns", &self.node])?;
        for (netns, device, address) in [(&self.peer, "lan", PEER), (&self.node, "wan", NODE)] {
            ip(&["-n", netns, "addr", "add", &format!("{address}/24"), "dev", device])?;
            ip(&["-n", netns, "link", "set", device, "up"])?;
        }
        ip(&["-n", &self.node, "route", "add", "default", "via", PEER])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for netns in [&self.node, &self.peer] {
            if fs::exists(format!("/run/netns/{netns}")).unwrap_or(false)
                && let Err(error) = ip(&["netns", "del", netns])
            {
                eprintln!("warning: {error:#}");
            }
        }
    }
}

fn add(netns: &str) -> Result<()> {
    ip(&["netns", "add", netns])?;
    ip(&["-n", netns, "link", "set", "lo", "up"])
}

fn ip(arguments: &[&str]) -> Result<()> {
    output(Command::new("ip").args(arguments)).map(drop)
}
