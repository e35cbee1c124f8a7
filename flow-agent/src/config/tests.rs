//! The configuration as a whole: what is accepted, what is refused, and with which words.

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

#[test]
fn every_documented_example_parses() {
    // A comment begins with `# `; an example is a key or a section right after the `#`.
    let uncommented = DEFAULT_CONFIG
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n");
    // `host` and `local` exclude each other; the example says so in a comment.
    let config = parse(&uncommented).unwrap();
    assert_eq!(config.users[0].quota, Some(500 * 1024 * 1024 * 1024));
    assert_eq!(config.nodes[0].aliases, ["hk-old"]);
    assert_eq!(config.mail.unwrap().server.port, 465);
}
