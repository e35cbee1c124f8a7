//! What every command accepts on the command line.

use std::path::PathBuf;

use clap::ArgAction;

use crate::config::{self, Config};
use crate::exit::Failure;

/// What every command accepts.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Common {
    /// The configuration file [default: /etc/flow-agent/config.toml if it exists, else built-in defaults]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the logs are kept [default: /var/lib/flow-agent, or what the configuration says]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Log more on stderr; twice: even more. RUST_LOG overrides it
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Log warnings and errors only; twice: errors only
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose")]
    pub quiet: u8,
}

impl Common {
    /// The configuration that these arguments name.
    ///
    /// # Errors
    /// With code 3 if the configuration is not valid.
    pub fn load(&self) -> Result<Config, Failure> {
        Ok(config::load(self.config.as_deref(), self.state_dir.as_deref())?)
    }
}
