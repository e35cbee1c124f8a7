//! `flow-agent run`.

use crate::cli::Common;
use crate::exit::{Code, Failure};

/// run
#[derive(Debug, clap::Args)]
pub struct Args {}

/// run
pub fn execute(_common: &Common, _args: Args) -> Result<Code, Failure> {
    Ok(Code::Done)
}
