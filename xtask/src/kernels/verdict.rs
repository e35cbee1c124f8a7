//! What a guest said on its console, and whether that is a pass.

use std::collections::BTreeSet;

/// Begins the last line of a guest; what follows is the tests' exit code.
const VERDICT: &str = "guest verdict: exit=";

/// Begins the line before each run of the tests; what follows is put before the names of those that are run there.
const PART: &str = "guest part: ";

/// Begins a line by which a test tells something about the kernel that it ran on.
const FACT: &str = "fact: ";

/// Whether somebody who waits would like to see this line of the console.
pub fn is_progress(line: &str) -> bool {
    [VERDICT, PART, FACT, "test "].iter().any(|beginning| line.starts_with(beginning))
}

/// What the console held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub passed: BTreeSet<String>,
    pub failed: BTreeSet<String>,
    /// `(name, value)`, in the order told.
    pub facts: Vec<(String, String)>,
    /// The tests' own exit code; none when the guest never came to its end.
    pub exit: Option<i32>,
}

impl Outcome {
    /// Reads a console's log.
    pub fn read(log: &str) -> Self {
        let mut outcome = Self::default();
        let mut part = String::new();
        for line in log.lines().map(str::trim_end) {
            if let Some(begun) = line.strip_prefix(PART) {
                part = format!("{begun} ");
            } else if let Some(code) = line.strip_prefix(VERDICT) {
                outcome.exit = code.parse().ok();
            } else if let Some((name, value)) = line.strip_prefix(FACT).and_then(|fact| fact.split_once('=')) {
                outcome.facts.push((name.to_owned(), value.to_owned()));
            } else if let Some((name, result)) = line.strip_prefix("test ").and_then(|test| test.split_once(" ... ")) {
                match result {
                    "ok" => outcome.passed.insert(format!("{part}{name}")),
                    "FAILED" => outcome.failed.insert(format!("{part}{name}")),
                    _ => false,
                };
            }
        }
        outcome
    }

    /// The value of the last fact called `name`.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.iter().rev().find(|fact| fact.0 == name).map(|fact| fact.1.as_str())
    }

    /// Why this is no pass of the `expected` tests; none when it is one. Silence is no pass, and neither is a test that
    /// was not seen to pass.
    pub fn objection(&self, expected: &BTreeSet<String>) -> Option<String> {
        let list = |names: Vec<&String>| names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        if !self.failed.is_empty() {
            return Some(format!("failed: {}", list(self.failed.iter().collect())));
        }
        let missing: Vec<&String> = expected.difference(&self.passed).collect();
        match self.exit {
            None => Some("no verdict on the console".into()),
            Some(0) if missing.is_empty() && !expected.is_empty() => None,
            Some(0) => Some(format!("not seen to pass: {}", list(missing))),
            Some(code) => Some(format!("the tests ended with {code}")),
        }
    }
}

#[cfg(test)]
mod tests;
