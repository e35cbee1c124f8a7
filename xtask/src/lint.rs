//! `cargo xtask lint`: format, clippy and rustdoc, warnings as errors; and what `deny.toml` allows of the dependencies.

use anyhow::Result;

use crate::process::{command, run as run_command};
use crate::tools::Tool;

const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2", unoptimised: true };

/// Checks the format and the dependencies, and fails on any warning of clippy or rustdoc
#[derive(clap::Args)]
pub struct Options {}

/// Lints everything except the eBPF crates, whose panic handler cannot be in the same build (`cargo xtask ebpf` lints
/// those).
pub fn run(_options: Options) -> Result<()> {
    run_command(&mut command("cargo", ["fmt", "--all", "--", "--check"]))?;
    let clippy = [
        "clippy",
        "--workspace",
        "--features",
        "flow-agent/sqlite",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    run_command(&mut command("cargo", clippy))?;
    let doc = ["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"];
    run_command(command("cargo", doc).env("RUSTDOCFLAGS", "-D warnings"))?;
    // Advisories are left out: they come from the network, and change without a change here.
    let path = DENY.path()?;
    run_command(command("cargo", ["deny", "check", "bans", "licenses", "sources"]).env("PATH", path))
}
