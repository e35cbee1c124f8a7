//! `flow-agent users`: shows how much of their quotas the users have used in this billing month.

use super::show::look::LookArgs;
use super::{Common, limits, output};
use crate::clock;
use crate::exit::{Code, Failure};
use crate::render::figures::{csv, csv_header, json};
use crate::render::users::{UserRow, table};
use crate::store::StateDir;

/// Show the users: quota, used, left, forecast, and whether they are cut
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this user
    #[arg(value_name = "USER")]
    pub user: Option<String>,
    /// One JSON object per user, with exact bytes
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// CSV with a header, with exact bytes
    #[arg(long)]
    pub csv: bool,
}

/// Prints the users in the order of the configuration.
///
/// # Errors
/// Exit code 2 for an unknown user, 3 or 5 if the configuration or a file cannot be read. Damage is reported on stderr,
/// and the code is 6.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    if let Some(user) = &args.user {
        limits::refuse_unknown(&limits::with_port_files(&config, &StateDir::new(&config.state_dir))?, user)?;
    }
    let standing = limits::standing(&config, clock::now().wall)?;
    let is_wanted = |row: &UserRow| args.user.as_ref().is_none_or(|user| row.0.user == *user);
    let rows: Vec<UserRow> = standing.users.into_iter().map(UserRow).filter(is_wanted).collect();
    let text = match (args.json, args.csv) {
        (true, _) => rows.iter().map(json).collect(),
        (false, true) => csv_header::<UserRow>() + &rows.iter().map(csv).collect::<String>(),
        (false, false) if rows.is_empty() => "there are no users in the configuration\n".to_owned(),
        (false, false) => table(&rows, &LookArgs::default().look(config.show)),
    };
    output::print(&text)?;
    for damage in &standing.damages {
        output::complain(&format!("warning: {damage}"));
    }
    Ok(if standing.damages.is_empty() { Code::Done } else { Code::Incomplete })
}
