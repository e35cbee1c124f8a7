//! `check --enroll NODE`: shows the node's host key, asks, and then trusts it.

use std::io;
use std::path::Path;

use anyhow::Context as _;

use super::nodes::CONFINEMENT;
use crate::commands::output;
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::gather::GatherError;
use crate::gather::NodeSource;
use crate::gather::enroll::{believing, host_key};
use crate::store::disk::{RealDisk, create_dirs, parent, replace};

/// # Errors
/// When there is no such node (3), nobody answers there (6), or the keys cannot be written (5).
pub(super) fn enroll(config: &Config, name: &str) -> Result<Code, Failure> {
    let node = config.nodes.iter().find(|node| node.name == name);
    let node = node.ok_or_else(|| {
        let known: Vec<_> = config.nodes.iter().map(|node| node.name.as_str()).collect();
        Failure::new(Code::Config, anyhow::anyhow!("there is no node `{name}` in the configuration")).help(match known
            .is_empty()
        {
            true => "name the nodes in `[[nodes]]` on the main node; there are none".to_owned(),
            false => format!("known nodes: {}", known.join(", ")),
        })
    })?;
    let NodeSource::Ssh { host, port, .. } = &node.source else {
        return Err(Failure::new(Code::Config, anyhow::anyhow!("node `{name}` is this machine: it has no host key")));
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the runtime")?;
    let key = runtime.block_on(host_key(host, *port)).map_err(|error| {
        let error = GatherError::from(error);
        let help = error.help(name);
        Failure { help, ..Failure::new(Code::Incomplete, error) }
    })?;
    let path = &config.report.known_hosts;
    let known = read(path)?;
    if known.lines().any(|line| line == key.line) {
        output::print(&format!("{name}: {} is already trusted\n", key.fingerprint))?;
        return Ok(Code::Done);
    }
    output::print(&format!(
        "{name} at {host} port {port} shows\n    {}\nCompare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on \
         the node.\nTrust this key? Type yes: ",
        key.fingerprint
    ))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("failed to read the answer")?;
    if answer.trim() != "yes" {
        output::print("nothing was changed\n")?;
        return Ok(Code::Incomplete);
    }
    let written = create_dirs(&RealDisk, parent(path))
        .and_then(|()| replace(&RealDisk, path, believing(&known, &key.line).as_bytes()))
        .with_context(|| format!("failed to write `{}`", path.display()));
    written.map_err(|error| Failure::new(Code::Store, error))?;
    output::print(&format!(
        "saved in `{}`: trusted from now on\nTo restrict this key {CONFINEMENT}\n",
        path.display()
    ))?;
    Ok(Code::Done)
}

#[expect(clippy::disallowed_methods, reason = "edge: files")]
fn read(path: &Path) -> Result<String, Failure> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => {
            let read = other.with_context(|| format!("failed to read `{}`", path.display()));
            read.map_err(|error| Failure::new(Code::Store, error))
        }
    }
}
