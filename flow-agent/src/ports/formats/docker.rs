//! PURE: the published ports of Docker's containers, as `docker inspect` prints them or its API lists them. Game panels
//! of the Pterodactyl family mark their containers with labels.
//!
//! Whoever may access Docker's socket is root in effect, so the agent never does. A helper writes what Docker reports
//! to a file.

use serde_json::Value;

use super::{Format, FormatError, tree};
use crate::ports::{Claim, Complaint, Detail, ListPosition, Listed};

const EXPECTED: &str = "a JSON array of containers, as `docker inspect` prints it";

/// This label of a container names the owner of its ports.
const OWNER_LABEL: &str = "flow-agent.user";

/// Reads all containers.
pub struct Docker;

/// Reads the servers of a Pterodactyl, Pelican or Wings node. Each belongs to the owner whom the panel knows by the
/// container's name.
pub struct Pterodactyl;

impl Format for Docker {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        containers(text, |container| Some(label_of(container, OWNER_LABEL).map(str::to_owned)))
    }
}

impl Format for Pterodactyl {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        containers(text, |container| {
            let is_server = label_of(container, "Service") == Some("Pterodactyl")
                && label_of(container, "ContainerType").is_none_or(|kind| kind == "server_process");
            is_server.then(|| label_of(container, OWNER_LABEL).map(str::to_owned).or_else(|| name(container)))
        })
    }
}

/// The ports of the containers for which `owner` returns `Some`. The inner value is the owner, or `None` if there is no
/// owner.
fn containers(text: &[u8], owner: impl Fn(&Value) -> Option<Option<String>>) -> Result<Listed, FormatError> {
    let root = tree::json(text, EXPECTED)?;
    let Some(containers) = root.as_array() else {
        return Err(FormatError::Shape { expected: EXPECTED, found: tree::kind(&root) });
    };
    let is_container =
        |value: &Value| value.get("Id").is_some() || value.get("Name").is_some() || value.get("Names").is_some();
    if !containers.is_empty() && !containers.iter().any(is_container) {
        return Err(FormatError::NoRowFits { rows: containers.len(), expected: EXPECTED });
    }
    let mut listed = Listed::default();
    for (index, container) in containers.iter().enumerate() {
        if let Some(owner) = owner(container) {
            let name = name(container);
            let row = ListPosition::named("container", name.as_deref(), index);
            let claim = Claim { owner, detail: Detail { label: name, ..Detail::default() } };
            published(&mut listed, container, &row, &claim);
        }
    }
    Ok(listed)
}

fn published(listed: &mut Listed, container: &Value, row: &ListPosition, claim: &Claim) {
    let mut add = |address: Option<&str>, port: &Value| {
        if !address.is_some_and(super::is_loopback) {
            listed.add_ranges(row, tree::port(port).map(|port| vec![port..=port]), claim);
        }
    };
    // `docker inspect`: {"25565/tcp": [{"HostIp": "0.0.0.0", "HostPort": "25565"}], "80/tcp": null}
    let inspected =
        container.get("NetworkSettings").and_then(|settings| settings.get("Ports")).and_then(Value::as_object);
    for binding in inspected.into_iter().flat_map(|ports| ports.values()).filter_map(Value::as_array).flatten() {
        if let Some(port) = binding.get("HostPort").filter(|port| port.as_str() != Some("")) {
            add(tree::text(binding, "HostIp"), port);
        }
    }
    // `GET /containers/json`: [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}]
    let listed_ports = container.get("Ports").and_then(Value::as_array);
    for port in listed_ports.into_iter().flatten() {
        // A port without a public port can only be reached from within.
        if let Some(public) = port.get("PublicPort").filter(|public| public.as_i64() != Some(0)) {
            add(tree::text(port, "IP"), public);
        }
    }
    if container.get("Ports").is_some_and(Value::is_string) {
        listed.complain(Complaint::NoPort { row: row.clone(), key: "Ports" });
    }
}

/// The container's name without the slash that Docker puts before it.
fn name(container: &Value) -> Option<String> {
    let first = container.get("Names").and_then(|names| names.get(0)).and_then(Value::as_str);
    let name = tree::text(container, "Name").or(first)?.trim_start_matches('/').trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn label_of<'c>(container: &'c Value, label: &str) -> Option<&'c str> {
    let config = container.get("Config").and_then(|config| config.get("Labels"));
    tree::text(config.or_else(|| container.get("Labels"))?, label)
}
