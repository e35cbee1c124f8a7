//! The files that are packaged for monitoring: the alerts pass their tests, and every metric that they name exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use flow_agent::render::metrics::{Metrics, open_metrics};

use crate::common::have_program;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

#[test]
fn the_alerts_fire_when_their_tests_say_so() {
    if !have_program("promtool", "alerts") {
        return;
    }
    let mut promtool = Command::new("promtool");
    let output = promtool
        .args(["test", "rules", "alerts_test.yml"])
        .current_dir(packaging().join("prometheus"))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// The words of `text` that could be our metrics.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("flow_agent_")).map(str::to_owned).collect()
}

#[test]
fn alerts_and_the_dashboard_name_only_metrics_that_there_are() {
    let families = open_metrics(Metrics::default());
    let mut known = BTreeSet::new();
    for line in families.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        known.insert(match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        });
    }
    for file in ["prometheus/alerts.yml", "grafana/flow-agent.json"] {
        let text = std::fs::read_to_string(packaging().join(file)).unwrap();
        let named = names(&text);
        assert!(!named.is_empty(), "{file}");
        assert_eq!(named.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "{file}");
    }
    let documented = names(&std::fs::read_to_string(packaging().join("../../docs/operations.md")).unwrap());
    assert_eq!(
        known.difference(&documented).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "operations.md names all of them"
    );
}

#[test]
fn the_dashboard_has_its_variables() {
    let text = std::fs::read_to_string(packaging().join("grafana/flow-agent.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let variables =
        dashboard["templating"]["list"].as_array().unwrap().iter().map(|variable| variable["name"].as_str().unwrap());
    assert_eq!(variables.collect::<Vec<_>>(), ["datasource", "node", "user", "port"]);
    let identifiers: Vec<u64> =
        dashboard["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert!(identifiers.iter().collect::<BTreeSet<_>>().len() == identifiers.len() && identifiers.len() > 10);
}
