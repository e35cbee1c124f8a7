//! The backends on a real kernel. Needs root, and uses network namespaces and a separate bpffs.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed, and tests stand outside the rooms"
)]

#[path = "../common/mod.rs"]
mod common;

mod adopt;
mod agent;
mod answers;
mod attach;
mod changes;
mod check;
#[path = "../common/classifiers.rs"]
mod classifiers;
mod clock;
mod counted;
mod devices;
mod followed;
mod formats;
mod gaps;
mod gated;
#[path = "../common/hourly.rs"]
mod hourly;
#[path = "../common/instructions.rs"]
mod instructions;
mod interfaces;
mod interference;
mod intruders;
mod iptables;
mod lacking;
mod long_run;
mod metrics;
mod nat;
mod own_run;
mod parts;
mod pins;
mod place;
mod portfiles;
mod ports;
mod privileges;
mod program;
mod quota;
mod rollups;
mod screens;
mod soak;
mod stacks;
mod state_dir;
mod stopped;
mod store;
mod stranger;
mod support;
mod switch;
mod translated;
mod uninstall;
mod upgrade;
mod vanished;
mod verifier;
mod wire;
