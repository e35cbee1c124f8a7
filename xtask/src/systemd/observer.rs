//! The independent observer: nft counters in the namespace of the node's peers, which know nothing about the node or
//! its agent.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{command, output};

/// Bytes by port and direction, where the direction is that of the node.
pub type Bytes = BTreeMap<(u16, &'static str), u64>;

const DIRECTIONS: [&str; 2] = ["in", "out"];

/// Makes a counter for each port and direction in the namespace of the peers.
///
/// # Errors
/// When nft fails.
pub fn install(netns: &str, ports: &[u16]) -> Result<()> {
    let mut rules = String::from("table inet observer {\n");
    for port in ports {
        rules += &format!("counter in{port} {{}}\ncounter out{port} {{}}\n");
    }
    for (hook, side, direction) in [("output", "dport", "in"), ("input", "sport", "out")] {
        rules += &format!("chain {hook} {{\ntype filter hook {hook} priority 0;\n");
        for port in ports {
            rules += &format!("meta l4proto {{ tcp, udp }} th {side} {port} counter name {direction}{port}\n");
        }
        rules += "}\n";
    }
    rules += "}\n";
    let mut nft = command("ip", ["netns", "exec", netns, "nft", "-f", "-"]);
    let mut child = nft.stdin(Stdio::piped()).spawn().context("failed to start `ip`")?;
    child.stdin.take().context("stdin is piped")?.write_all(rules.as_bytes())?;
    ensure!(child.wait()?.success(), "nft refused the counters");
    Ok(())
}

/// The bytes counted so far.
///
/// # Errors
/// When nft fails.
pub fn read(netns: &str) -> Result<Bytes> {
    let listed = output(&mut command("ip", ["netns", "exec", netns, "nft", "-j", "list", "counters"]))?;
    let listed: Value = serde_json::from_str(&listed)?;
    let mut bytes = Bytes::new();
    for counter in listed["nftables"].as_array().into_iter().flatten().map(|object| &object["counter"]) {
        let Some(name) = counter["name"].as_str() else { continue };
        for direction in DIRECTIONS {
            if let Some(port) = name.strip_prefix(direction).and_then(|port| port.parse().ok()) {
                bytes.insert((port, direction), counter["bytes"].as_u64().context("a counter without bytes")?);
            }
        }
    }
    Ok(bytes)
}

/// The bytes in the lines of `kind` in a directory's files. Empty if there is no such directory.
///
/// # Errors
/// When a file cannot be read.
pub fn logged(directory: &Path, kind: &str) -> Result<Bytes> {
    let mut bytes = Bytes::new();
    let Ok(entries) = fs::read_dir(directory) else { return Ok(bytes) };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        // A line without a newline is still being written.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: Value = serde_json::from_str(line)?;
            if line["kind"] != kind {
                continue;
            }
            let port = line["port"].as_u64().and_then(|port| port.try_into().ok()).context("a line without a port")?;
            for direction in DIRECTIONS {
                let of = |protocol: &str| line[format!("{protocol}_{direction}_bytes")].as_u64().unwrap_or(0);
                *bytes.entry((port, direction)).or_default() += of("tcp") + of("udp");
            }
        }
    }
    Ok(bytes)
}

/// The sum of the absolute differences over all ports and directions.
pub fn difference(left: &Bytes, right: &Bytes) -> u64 {
    let keys = left.keys().chain(right.keys()).collect::<std::collections::BTreeSet<_>>();
    let of = |bytes: &Bytes, key| bytes.get(key).copied().unwrap_or(0);
    keys.into_iter().map(|key| of(left, key).abs_diff(of(right, key))).sum()
}

#[cfg(test)]
mod tests;
