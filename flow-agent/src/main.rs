//! The `flow-agent` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    flow_agent::cli::main()
}
