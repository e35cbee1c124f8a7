//! What the program says and how it exits, without root.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod config;
