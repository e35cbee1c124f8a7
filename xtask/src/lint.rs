//! `cargo xtask lint`: format, clippy and rustdoc, warnings as errors; and what `deny.toml` allows of the dependencies.

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::Result;

use crate::process::{command, run as run_command};

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
    // Advisories are not checked, because they come from the network and change without a change here.
    match deny(std::env::var_os("PATH").as_deref()) {
        Some(_) => run_command(&mut command("cargo", ["deny", "check", "bans", "licenses", "sources"])),
        None => {
            eprintln!("NOT CHECKED: bans, licenses and sources of the dependencies (`cargo install cargo-deny`)");
            Ok(())
        }
    }
}

/// The path of `cargo-deny`, if it is in one of the directories of `path`.
fn deny(path: Option<&OsStr>) -> Option<PathBuf> {
    let directories = path.map(std::env::split_paths).into_iter().flatten();
    directories.map(|directory| directory.join("cargo-deny")).find(|program| program.is_file())
}

#[cfg(test)]
mod tests;
