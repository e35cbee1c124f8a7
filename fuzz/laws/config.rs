//! What holds for the readers of the configuration and of the users file on every text. The fuzzer looks for one that breaks it,
//! and the test of the corpus looks at every text that was ever of interest.

use std::fs;
use std::path::Path;

use flow_agent::config;

/// An even first byte: `config.toml`; an odd one: the users file. `root` is a directory of our own. Panics where a law is broken.
pub fn hold(root: &Path, input: &[u8]) {
    let Some((first, text)) = input.split_first() else { return };
    let (path, users) = (root.join("config.toml"), root.join("users.csv"));
    if first % 2 == 0 {
        fs::write(&path, text).expect("the directory is ours");
    } else {
        fs::write(&users, text).expect("the directory is ours");
        let config = format!("node = \"hk-1\"\ntimezone = \"UTC\"\nusers_file = {:?}\n", users.display().to_string());
        fs::write(&path, config).expect("the directory is ours");
    }
    let load = || config::load(Some(&path), None);
    match (load(), load()) {
        (Ok(config), Ok(_)) => {
            // What was accepted has one owner for each port of a node at most, and none for port 0.
            assert!(config.users.iter().all(|user| user.ports.iter().all(|port| *port > 0)));
        }
        (Err(error), Err(again)) => {
            // A refusal fits on a screen and is the same every time.
            let said = format!("{error}\n{}", error.help().unwrap_or_default());
            assert_eq!(said, format!("{again}\n{}", again.help().unwrap_or_default()));
            assert!(said.len() < 4_000, "{} bytes: {said:.200}", said.len());
            assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
        }
        _ => panic!("accepted once and refused once"),
    }
}
