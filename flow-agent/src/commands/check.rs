//! `flow-agent check`: looks at everything that counting and reporting need, and says what to do about what is missing.

mod config;
pub mod finding;
mod interfaces;
mod kernel;
mod log;
mod ports;
mod state;

use crate::cli::{Common, output};
use crate::clock;
use crate::commands::check::finding::Finding;
use crate::exit::{Code, Failure};

/// Look at everything that counting needs: what works, what does not, what to do
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One JSON object a finding
    #[arg(long)]
    pub json: bool,
}

/// Prints what was found; the code is that of the first section in which something fails.
///
/// # Errors
/// When the result cannot be written.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let findings = look(common);
    output::print(&if args.json { finding::json(&findings) } else { finding::table(&findings) })?;
    Ok(finding::code(&findings))
}

fn look(common: &Common) -> Vec<Finding> {
    let (mut findings, config) = config::findings(common);
    // Without a configuration it is not known what to look at.
    let Some(config) = config else { return findings };
    findings.extend(kernel::findings(&config.count, &config.bpffs));
    findings.extend(interfaces::findings(&config));
    findings.extend(ports::findings(&config));
    findings.extend(state::findings(&config, clock::now().wall));
    findings
}
