//! What a guest printed on its console, and whether it passed.

use std::collections::BTreeSet;

/// The prefix of the last line of a guest, followed by the tests' exit code.
const VERDICT: &str = "guest verdict: exit=";

/// The prefix of the line before a repeated run of tests, followed by a text that is put before the names of those
/// tests.
const PART: &str = "guest part: ";

/// The prefix of a line in which a test reports a fact about the kernel.
const FACT: &str = "fact: ";

/// Whether this line of the console is worth showing as progress.
pub fn is_progress(line: &str) -> bool {
    [VERDICT, PART, FACT, "test "].iter().any(|beginning| line.starts_with(beginning))
}

/// What the console log contains.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub passed: BTreeSet<String>,
    pub failed: BTreeSet<String>,
    /// The facts as `(name, value)`, in the order in which they were reported.
    pub facts: Vec<(String, String)>,
    /// The exit code of the tests. `None` if the guest did not finish.
    pub exit: Option<i32>,
}

impl Outcome {
    /// Parses a console log.
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

    /// The last value of the fact called `name`.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.iter().rev().find(|fact| fact.0 == name).map(|fact| fact.1.as_str())
    }

    /// Why the `expected` tests have not passed; `None` if they have. A missing verdict is not a pass, and neither is a
    /// test that was not seen to pass.
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
