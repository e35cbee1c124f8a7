//! The SBOM: every crate in the program, in CycloneDX format, as listed by cargo itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::process::{command, output};

/// Writes the SBOM and returns the name of the file.
pub(super) fn write(out: &Path, name: &str, target: &str) -> Result<String> {
    let common = ["--locked", "--offline"];
    // The crates that are linked for this target, without those used only for building or testing.
    let tree = ["tree", "--package", "flow-agent", "--features", "sqlite", "--edges", "normal", "--prefix", "none"];
    let linked = output(command("cargo", tree).args(common).args(["--format", "{p}", "--target", target]))?;
    // Crates of optional features are listed only if the features are requested.
    let metadata = ["metadata", "--format-version", "1", "--all-features", "--filter-platform", target];
    let metadata = output(command("cargo", metadata).args(common))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata printed no JSON")?;
    let components = components(&names(&linked), &metadata)?;
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "application", "name": "flow-agent", "version": env!("CARGO_PKG_VERSION"),
            "licenses": [{ "expression": "MIT" }],
        } },
        "components": components,
    });
    let file = format!("{name}.cdx.json");
    fs::write(out.join(&file), serde_json::to_string_pretty(&document)? + "\n")?;
    Ok(file)
}

/// The name and version in each line of `cargo tree`, such as `serde v1.0.229 (proc-macro)`.
fn names(tree: &str) -> BTreeSet<(String, String)> {
    let name = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    };
    tree.lines().filter_map(name).collect()
}

/// A component for each crate that does not come from this repository.
fn components(linked: &BTreeSet<(String, String)>, metadata: &Value) -> Result<Vec<Value>> {
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let mut components = Vec::new();
    for (name, version) in linked {
        let package = packages
            .iter()
            .find(|package| package["name"] == name.as_str() && package["version"] == version.as_str())
            .with_context(|| format!("cargo metadata does not know {name} {version}"))?;
        if package["source"].is_null() {
            continue;
        }
        let mut component = json!({
            "type": "library", "name": name, "version": version,
            "purl": format!("pkg:cargo/{name}@{version}"),
        });
        if let Some(license) = package["license"].as_str() {
            // Old crates write `MIT/Apache-2.0`, which is not an SPDX expression.
            component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
        }
        components.push(component);
    }
    Ok(components)
}

#[cfg(test)]
mod tests;
