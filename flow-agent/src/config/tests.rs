//! The configuration as a whole: what is accepted, what is rejected, and with which message.

use std::path::Path;

use super::check::{Source, System, SystemZone, check};
use super::error::Positions;
use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    let path = Path::new("/etc/flow-agent/config.toml");
    let system = System { host_name: "here".to_owned(), zone: SystemZone::Known(Tz::Asia__Shanghai) };
    check(file::read(path, text)?, &Source::new(path, text), &system)
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

#[test]
fn each_of_thousands_of_users_has_its_own_line() {
    let users: String = (0..5_000)
        .map(|n| format!("[[users]]\nname = \"客户-{n}\"\nports = [{}] # 端口\nquota = \"1 GiB\"\n\n", 10_000 + n))
        .collect();
    let config = parse(&users).unwrap();
    for (n, declared) in config.declared.iter().enumerate() {
        let at = |line: usize, column: usize| (line, column);
        assert_eq!(at(declared.at.line, declared.at.column), at(5 * n + 2, 8));
        let (_, port) = &declared.ports[0];
        assert_eq!(at(port.line, port.column), at(5 * n + 3, 10));
    }
    // The same user once more, behind characters of several bytes.
    let again = format!("{users}[[users]]\n\"name\" = \"客户-4321\"\n");
    let twice = "config.toml:25002:10: user `客户-4321` appears twice, first at /etc/flow-agent/config.toml:21607:8";
    assert!(parse(&again).unwrap_err().to_string().ends_with(twice));
}

#[test]
fn the_end_of_a_file_has_a_position_whether_or_not_its_last_line_is_complete() {
    let end = |text: &str| {
        let end = Positions::new(Path::new("x"), text).of(text.len());
        (end.line, end.column)
    };
    assert_eq!(end(""), (1, 1));
    assert_eq!(end("a\nbc"), (2, 3));
    assert_eq!(end("a\nbc\n"), (3, 1));
    assert_eq!(end("客户\r\n客户"), (2, 3));
}
