//! Helpers for the tests and the demo: real hosts, real servers and independent observers.
#![allow(dead_code, reason = "each test binary uses its own part of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod daemon;
pub mod device;
pub mod flood;
pub mod foreign;
pub mod frames;
pub mod netns;
pub mod observer;
pub mod paced;
pub mod smtpd;
pub mod sshd;
pub mod variant;

/// Whether this is root. If not, prints on stderr what is skipped, or panics if nothing may be skipped.
pub fn have_root(for_what: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let required = std::env::var_os("FLOW_AGENT_TEST_REQUIRE").is_some_and(|value| value == "1");
    assert!(!required, "{for_what} need root, and FLOW_AGENT_TEST_REQUIRE=1 allows no skipping");
    eprintln!("SKIPPED: {for_what} need root");
    false
}

/// Whether this program is installed. If not, prints on stderr what is skipped, or panics if nothing may be skipped.
pub fn have_program(program: &str, for_what: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|directory| directory.join(program).is_file()) {
        return true;
    }
    let required = std::env::var_os("FLOW_AGENT_TEST_REQUIRE").is_some_and(|value| value == "1");
    assert!(!required, "{for_what} need {program}, and FLOW_AGENT_TEST_REQUIRE=1 allows no skipping");
    eprintln!("SKIPPED: {for_what} need {program}");
    false
}
