//! The development tasks of flow-agent: `cargo xtask --help`.
#![expect(
    clippy::disallowed_methods,
    reason = "development tasks run programs and write files; the module rules are flow-agent's"
)]

mod bench;
#[path = "../../tests/common/mod.rs"]
mod common;
mod demo;
mod dist;
mod duckdb;
mod ebpf;
mod kernels;
mod lint;
mod packages;
mod process;
mod roots;
mod soak;
mod systemd;
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Development tasks of flow-agent")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One file each, with `Options` and `run`.
#[derive(Subcommand)]
enum Command {
    Bench(bench::Options),
    Demo(demo::Options),
    Dist(dist::Options),
    Ebpf(ebpf::Options),
    Lint(lint::Options),
    Soak(soak::Options),
    Test(test::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Bench(options) => bench::run(options),
        Command::Demo(options) => demo::run(options),
        Command::Dist(options) => dist::run(options),
        Command::Ebpf(options) => ebpf::run(options),
        Command::Lint(options) => lint::run(options),
        Command::Soak(options) => soak::run(options),
        Command::Test(options) => test::run(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
