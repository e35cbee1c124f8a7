//! `flow-agent check`: examines everything that counting and reporting need, and says what to do about what is missing.

pub(super) mod agent;
mod answers;
mod config;
mod enroll;
mod enroll_main;
pub mod finding;
mod fleet;
mod interfaces;
mod kernel;
mod limits;
mod log;
mod mail;
mod nodes;
mod notify;
mod password;
mod ports;
mod service;
pub(super) mod state;

use super::{Common, output};
use std::path::PathBuf;

use crate::clock;
use crate::commands::check::finding::Finding;
use crate::exit::{Code, Failure};

/// Check this machine: what works, what does not, and how to fix it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For monitoring: `flow-agent check --quiet` prints nothing. The exit code says whether all is well (0), or \
                        what is not: 4, for example, if no agent is running or nothing reads the counters."
)]
pub struct Args {
    /// Show the host key of this configured node, and trust it after confirmation
    #[arg(long, value_name = "NODE", conflicts_with_all = ["send_test", "json"])]
    pub enroll: Option<String>,
    /// On a node: let the main node, whose public key is in this file, fetch the daily logs. Shows what it will change
    /// (the user `flow`, its key, sshd's configuration), and asks for confirmation
    #[arg(long, value_name = "KEYFILE", conflicts_with_all = ["enroll", "config_only", "send_test", "json"])]
    pub enroll_main: Option<PathBuf>,
    /// With --enroll-main: the address of the main node, the only one from which its key is accepted
    #[arg(long, value_name = "ADDRESS", requires = "enroll_main")]
    pub from: Option<String>,
    /// With --enroll-main: do not ask for confirmation
    #[arg(long, requires = "enroll_main")]
    pub yes: bool,
    /// Check only the configuration and the files that it names; `systemctl reload` does this first
    #[arg(long, conflicts_with_all = ["enroll", "send_test"])]
    pub config_only: bool,
    /// Send a short letter to this mail address, or a short message to this channel of `[[notify]]`
    #[arg(long, value_name = "ADDRESS|CHANNEL")]
    pub send_test: Option<String>,
    /// One JSON object per finding
    #[arg(long)]
    pub json: bool,
}

/// Prints the findings, unless `--quiet` is given. The exit code is that of the first section in which something fails.
///
/// # Errors
/// When the result cannot be written.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    if let Some(node) = &args.enroll {
        return enroll::enroll(&common.load()?, node);
    }
    if let Some(key_file) = &args.enroll_main {
        let request = enroll_main::Request { key_file, from: args.from.as_deref(), yes: args.yes };
        return enroll_main::enroll_main(&common.load()?, &request);
    }
    let findings = if args.config_only { look_at_config(common) } else { look(common, args.send_test.as_deref()) };
    if common.quiet == 0 {
        output::print(&if args.json {
            finding::json(&findings)
        } else {
            finding::table(&findings, output::has_colours(), output::width())
        })?;
    }
    Ok(finding::code(&findings))
}

/// Only what decides whether `run` would accept the configuration, without the kernel and the network.
fn look_at_config(common: &Common) -> Vec<Finding> {
    let (mut findings, config) = config::findings(common);
    // A main node that counts nothing itself needs no ports.
    findings.extend(config.iter().filter(|config| !config.only_gathers()).flat_map(ports::configured));
    findings
}

fn look(common: &Common, send_test: Option<&str>) -> Vec<Finding> {
    let (mut findings, config) = config::findings(common);
    // Without a configuration it is not known what else to examine.
    let Some(config) = config else { return findings };
    let only_gathers = agent::only_gathers(&config);
    if only_gathers.is_none() {
        findings.extend(kernel::findings(&config.count, &config.bpffs));
        findings.extend(interfaces::findings(&config));
        findings.extend(ports::findings(&config));
    }
    let now = clock::now().wall;
    findings.extend(state::findings(&config, now));
    let is_node = only_gathers.is_none();
    findings.extend(only_gathers.or_else(|| agent::finding(&config, now)));
    if is_node && state::agent_runs(&config.state_dir) == Some(true) {
        findings.extend(answers::findings(&config));
        findings.extend(limits::findings(&config));
    }
    findings.extend(nodes::findings(&config, now));
    findings.extend(password::findings(&config));
    findings.extend(fleet::findings(&config, now));
    // A mail address has an @, and the name of a channel has none.
    let (address, channel) = match send_test {
        Some(to) if to.contains('@') => (Some(to), None),
        other => (None, other),
    };
    findings.extend(mail::findings(&config, now, address));
    findings.extend(notify::findings(&config, now, channel));
    findings
}
