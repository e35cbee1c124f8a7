//! The configuration as a whole: what is accepted, what is rejected, and with which message.

use std::path::Path;

use super::check::{Source, System, SystemZone, check};
use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    let path = Path::new("/etc/flow-agent/config.toml");
    let system = System { host_name: "here".to_owned(), zone: SystemZone::Known(Tz::Asia__Shanghai) };
    check(file::read(path, text)?, &Source { path, text }, &system)
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    assert_eq!(parse(DEFAULT_CONFIG).unwrap(), parse("").unwrap());
}

/// The documented defaults with their examples enabled. A comment begins with `# `; an example follows its `#`
/// directly.
fn examples() -> String {
    let line = |line: &'static str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
    DEFAULT_CONFIG.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_documented_example_parses() {
    let config = parse(&examples()).unwrap();
    assert_eq!(config.users[0].quota_bytes, Some(500 * 1024 * 1024 * 1024));
    assert_eq!(config.nodes[0].aliases, ["hk-old"]);
    assert_eq!(config.mail.unwrap().server.port, 465);
    assert_eq!(config.users[0].used.unwrap().bytes, 120 << 30);
    assert_eq!(config.notify[0].events.len(), 8);
    assert_eq!(config.notify[1].name, "billing");
}

#[test]
fn every_key_is_documented() {
    let documented: toml::Table = examples().parse().unwrap();
    // The keys of all examples of a section together.
    let all = |value: &toml::Value| match value {
        toml::Value::Array(items) => items.iter().flat_map(|item| item.as_table().unwrap().clone()).collect(),
        value => value.as_table().unwrap().clone(),
    };
    let mut sections = vec![(String::new(), documented.clone())];
    for (name, header) in [
        ("count", "[count]"),
        ("ports", "[ports]"),
        ("metrics", "[metrics]"),
        ("users", "[[users]]"),
        ("nodes", "[[nodes]]"),
        ("report", "[report]"),
        ("show", "[show]"),
        ("mail", "[mail]"),
        ("limits", "[limits]"),
        ("notify", "[[notify]]"),
    ] {
        sections.push((header.to_owned(), all(&documented[name])));
    }
    for (header, documented) in sections {
        let Err(ConfigError::UnknownKey { known, .. }) = parse(&format!("{header}\nno_such_key = 1")) else {
            panic!("an unknown key in {header:?} is accepted");
        };
        for key in known {
            // The comment about `host`, which excludes it, mentions it.
            assert!(documented.contains_key(&key) || key == "local", "{key} of {header:?} is not documented");
        }
    }
}
