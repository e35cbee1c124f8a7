//! `flow-agent rollup`.

use crate::cli::Common;
use crate::exit::{Code, Failure};

/// rollup
#[derive(Debug, clap::Args)]
pub struct Args {}

/// rollup
pub fn execute(_common: &Common, _args: Args) -> Result<Code, Failure> {
    Ok(Code::Done)
}
