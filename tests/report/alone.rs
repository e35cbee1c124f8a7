//! A main node that is its own only node, which needs neither root nor ssh.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::days::{Month, month_of, moved, put};
use crate::fleet::{Ended, PROGRAM, lines};
use crate::stub::Stub;

/// A main node that is its own only node, with two users and one administrator.
pub struct Alone {
    pub dir: tempfile::TempDir,
    pub month: Month,
}

/// The recipients of its letters.
pub const ADDRESSES: [&str; 3] = ["alice@example.com", "bob@example.com", "ops@example.com"];

impl Alone {
    pub fn new(server: &str, extra: &str) -> Self {
        let alone = Self { dir: tempfile::tempdir().unwrap(), month: Month::last_complete() };
        let mut text = format!("node = \"alone\"\ntimezone = \"UTC\"\nstate_dir = {:?}\n", alone.state_dir());
        for (user, port) in [("alice", 443), ("bob", 80)] {
            writeln!(text, "[[users]]\nname = \"{user}\"\nports = [{port}]\nemail = \"{user}@example.com\"").unwrap();
        }
        write!(
            text,
            "[mail]\nserver = \"{server}\"\nfrom = \"report@example.com\"\nadmins = [\"ops@example.com\"]\n{extra}"
        )
        .unwrap();
        fs::write(alone.config(), text).unwrap();
        let month = month_of("alone", &alone.month, &[moved(443, None, [1, 2, 3, 4]), moved(80, None, [5, 6, 7, 8])]);
        put(&alone.state_dir(), &alone.month, &month);
        alone
    }

    pub fn with(stub: &Stub) -> Self {
        Self::new(&format!("smtp+insecure://127.0.0.1:{}", stub.port), "")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    /// Runs `flow-agent report` to its end.
    pub fn report(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(PROGRAM);
        command.arg("report").args(arguments).arg("--config").arg(self.config());
        command.stdin(Stdio::null()).output().unwrap().into()
    }

    /// The last state of each letter in the ledger, by user (`-` for the summary).
    pub fn last_states(&self) -> Vec<(String, String)> {
        let mut last = std::collections::BTreeMap::new();
        for line in lines(&self.state_dir().join("sent.jsonl")) {
            let user = line["user"].as_str().unwrap_or("-").to_owned();
            last.insert(user, line["state"].as_str().unwrap().to_owned());
        }
        last.into_iter().collect()
    }
}

pub fn states(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(user, state)| ((*user).to_owned(), (*state).to_owned())).collect()
}

pub fn all_sent() -> Vec<(String, String)> {
    states(&[("-", "sent"), ("alice", "sent"), ("bob", "sent")])
}
