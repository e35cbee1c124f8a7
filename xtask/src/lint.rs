//! `cargo xtask lint`: format, clippy and rustdoc, warnings as errors.

use anyhow::Result;

use crate::process::{command, run as run_command};

/// Checks the format, and lets no warning of clippy or rustdoc pass
#[derive(clap::Args)]
pub struct Options {}

/// Everything that is not the eBPF crate's own pass: two panic handlers do not go into one (`cargo xtask ebpf` lints it).
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
    run_command(command("cargo", doc).env("RUSTDOCFLAGS", "-D warnings"))
}
