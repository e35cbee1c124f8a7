//! The hosts of the demo: network namespaces connected by veth pairs. They are removed on drop.

use std::net::IpAddr;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::shown;

/// A node's namespace, and its addresses on the link to the main node.
pub struct Host {
    pub name: String,
    pub netns: String,
    pub address: IpAddr,
    pub address6: IpAddr,
}

/// The namespaces of the main node and of the nodes.
pub struct Hosts {
    pub main: String,
    nodes: Vec<Host>,
}

impl Hosts {
    /// Creates the namespaces, whose names contain the id of this process. The interface that a node counts is called
    /// `wan`.
    pub fn make(names: &[&str]) -> Result<Self> {
        let prefix = format!("fa-demo-{}", std::process::id());
        let mut hosts = Self { main: format!("{prefix}-main"), nodes: Vec::new() };
        add_netns(&hosts.main)?;
        for (index, name) in (1..).zip(names) {
            let host = Host {
                name: (*name).to_owned(),
                netns: format!("{prefix}-{name}"),
                address: IpAddr::from([10, 77, index, 2]),
                address6: IpAddr::from([0xfd77, 0, 0, u16::from(index), 0, 0, 0, 2]),
            };
            add_netns(&host.netns)?;
            hosts.nodes.push(host);
            hosts.join(index)?;
        }
        Ok(hosts)
    }

    /// The node with this name.
    pub fn node(&self, name: &str) -> &Host {
        self.nodes.iter().find(|host| host.name == name).expect("every node of the plan was made")
    }

    fn join(&self, index: u8) -> Result<()> {
        let node = &self.nodes[usize::from(index) - 1].netns;
        let lan = format!("lan{index}");
        ip(&["-n", &self.main, "link", "add", &lan, "type", "veth", "peer", "name", "wan", "netns", node])?;
        for (netns, device, last) in [(&self.main, lan.as_str(), 1), (node, "wan", 2)] {
            ip(&["-n", netns, "addr", "add", &format!("10.77.{index}.{last}/24"), "dev", device])?;
            // Without `nodad` the address cannot be used for a second.
            ip(&["-n", netns, "addr", "add", &format!("fd77:0:0:{index}::{last}/64"), "dev", device, "nodad"])?;
            ip(&["-n", netns, "link", "set", device, "up"])?;
        }
        ip(&["-n", node, "route", "add", "default", "via", &format!("10.77.{index}.1")])
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for netns in self.nodes.iter().map(|host| &host.netns).chain([&self.main]) {
            if let Err(error) = ip(&["netns", "del", netns]) {
                eprintln!("warning: {error:#}");
            }
        }
    }
}

fn add_netns(name: &str) -> Result<()> {
    ip(&["netns", "add", name])?;
    ip(&["-n", name, "link", "set", "lo", "up"])
}

fn ip(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(arguments);
    let output = command.output().context("failed to start `ip`")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{}` failed: {}", shown(&command), errors.trim());
    Ok(())
}
