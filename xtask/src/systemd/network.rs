//! Two network namespaces connected by a veth pair: one for the node, and one for its customers and the main node.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::common::daemon::wait_until;
use crate::process::output;

/// The address of the node, and that of all its peers.
pub const NODE: &str = "10.78.0.2";
pub const PEER: &str = "10.78.0.1";

/// The two namespaces. They are removed on drop.
pub struct Network {
    pub node: String,
    pub peer: String,
}

impl Network {
    /// Creates the namespaces.
    ///
    /// # Errors
    /// When `ip` fails, as it does without root.
    pub fn make() -> Result<Self> {
        let name = format!("fa-systemd-{}", std::process::id());
        let network = Self { node: format!("{name}-node"), peer: format!("{name}-peer") };
        add(&network.peer)?;
        network.join()?;
        Ok(network)
    }

    /// Replaces the node's namespace with a new one, as a reboot does. Everything attached in the old one is gone.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn renew(&self) -> Result<()> {
        ip(&["netns", "del", &self.node])?;
        // The device of the old namespace disappears a little later, and the new one needs its name.
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
