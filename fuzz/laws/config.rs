//! The laws that the readers of the configuration and of the users file obey for every text. The fuzzer searches for a
//! text that breaks one, and a test checks all texts in the corpus.

use std::fs;
use std::path::Path;

use flow_agent::config;

/// Checks the laws for `config.toml` (even first byte) or the users file (odd). `root` is a directory for the files.
/// Panics if a law is broken.
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
            // No user of an accepted configuration has port 0.
            assert!(config.users.iter().all(|user| user.ports.iter().all(|port| *port > 0)));
        }
        (Err(error), Err(again)) => {
            // An error message fits on a screen and is the same every time.
            let said = format!("{error}\n{}", error.help().unwrap_or_default());
            assert_eq!(said, format!("{again}\n{}", again.help().unwrap_or_default()));
            assert!(said.len() < 4_000, "{} bytes: {said:.200}", said.len());
            assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
        }
        _ => panic!("accepted once and refused once"),
    }
}
