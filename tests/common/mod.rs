//! What the tests and the demo share: real hosts, real servers, independent observers.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

pub mod daemon;
pub mod smtpd;
pub mod sshd;
