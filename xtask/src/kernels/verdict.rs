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
mod tests {
    use super::*;

    const LOG: &str = "[    0.000000] Linux version 5.10\r\n\
        running 2 tests\r\n\
        test load::every_program_loads ... ok\r\n\
        test count::bytes_are_exact ... ok\r\n\
        fact: place=clsact\r\n\
        fact: verified_insns ingress_eth=812\r\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\r\n\
        guest verdict: exit=0\r\n";

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn expected() -> BTreeSet<String> {
        names(&["count::bytes_are_exact", "load::every_program_loads"])
    }

    #[test]
    fn a_verdict_of_zero_with_every_test_seen_is_a_pass() {
        let outcome = Outcome::read(LOG);
        assert_eq!(outcome.objection(&expected()), None);
        assert_eq!(outcome.fact("place"), Some("clsact"));
        assert_eq!(outcome.fact("verified_insns ingress_eth"), Some("812"));
    }

    #[test]
    fn silence_is_no_pass() {
        assert_eq!(Outcome::read("").objection(&names(&[])), Some("no verdict on the console".into()));
        let cut = LOG.split("guest verdict").next().unwrap();
        assert_eq!(Outcome::read(cut).objection(&expected()), Some("no verdict on the console".into()));
    }

    #[test]
    fn a_verdict_without_tests_is_no_pass() {
        let outcome = Outcome::read("guest verdict: exit=0\n");
        assert_eq!(outcome.objection(&names(&[])), Some("not seen to pass: ".into()));
        assert_eq!(outcome.objection(&names(&["a"])), Some("not seen to pass: a".into()));
    }

    #[test]
    fn a_failed_test_is_named() {
        let log = LOG.replace("exact ... ok", "exact ... FAILED").replace("exit=0", "exit=101");
        assert_eq!(Outcome::read(&log).objection(&expected()), Some("failed: count::bytes_are_exact".into()));
    }

    #[test]
    fn a_test_that_is_run_twice_must_pass_twice() {
        let again = "guest part: guarded:\r\ntest count::bytes_are_exact ... FAILED\r\nguest verdict: exit=101\r\n";
        let outcome = Outcome::read(&LOG.replace("guest verdict: exit=0\r\n", again));
        let expected =
            names(&["count::bytes_are_exact", "load::every_program_loads", "guarded: count::bytes_are_exact"]);
        assert_eq!(outcome.objection(&expected), Some("failed: guarded: count::bytes_are_exact".into()));
        let passed = Outcome::read(LOG);
        assert_eq!(passed.objection(&expected), Some("not seen to pass: guarded: count::bytes_are_exact".into()));
    }

    #[test]
    fn an_exit_code_alone_is_an_objection() {
        let log = LOG.replace("exit=0", "exit=101");
        assert_eq!(Outcome::read(&log).objection(&expected()), Some("the tests ended with 101".into()));
    }
}
