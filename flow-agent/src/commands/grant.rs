//! `flow-agent grant`: allows a user more bytes in one billing month than the quota does.

use super::{Common, limits, output};
use crate::clock;
use crate::exit::{Code, Failure};
use crate::ledger::calendar;
use crate::ledger::limits::grant::{self, GrantLine};
use crate::ledger::month::Month;
use crate::ledger::record::{Kind, VERSION};
use crate::ledger::units::{Written, parse_bytes};
use crate::store::{StateDir, grants};

/// The largest grant, so that sums of grants and quotas stay far below 2^64.
const MOST_BYTES: u64 = 1 << 60;

/// Allow a user more bytes in one billing month
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A node enforces its own grants, and a main node uses its own for warnings and reports: if both know the \
                        user, grant on both. A running agent picks up a grant by itself, or at once after \
                        `systemctl reload flow-agent`."
)]
pub struct Args {
    /// A user in the configuration
    #[arg(value_name = "USER")]
    pub user: String,
    /// How much, such as "50 GiB"
    #[arg(value_name = "SIZE", value_parser = size)]
    pub size: u64,
    /// The billing month, such as 2026-10 [default: this one]
    #[arg(long, value_name = "MONTH")]
    pub month: Option<Month>,
    /// Take back this much of what was granted for the month
    #[arg(long)]
    pub take_back: bool,
}

fn size(text: &str) -> Result<u64, String> {
    match parse_bytes(text) {
        Ok(0) => Err("expected at least one byte".to_owned()),
        Ok(bytes) if bytes > MOST_BYTES => Err(format!("expected at most {}", Written(MOST_BYTES))),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

/// Writes the grant.
///
/// # Errors
/// Exit code 2 for an unknown user, or for more than can be taken back; 5 if the ledger cannot be written.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    let state = StateDir::new(&config.state_dir);
    let config = limits::with_port_files(&config, &state)?;
    limits::refuse_unknown(&config, &args.user)?;
    let now = calendar::local(config.timezone, clock::now().wall);
    let month = args.month.unwrap_or_else(|| Month::containing(now.date_naive(), config.month_start_day));
    let lock = state.lock_grants()?;
    let content = grants::read(&state)?;
    for damage in &content.damages {
        output::complain(&format!("warning: {damage}"));
    }
    let before = grant::granted(&content.lines, month).get(&args.user).copied().unwrap_or(0);
    if args.take_back && args.size > before {
        let error = anyhow::anyhow!("`{}` was granted only {} for {month}", args.user, Written(before));
        return Err(Failure::new(Code::Usage, error));
    }
    let size = i64::try_from(args.size).expect("the command line accepts less than 2^63");
    let bytes = if args.take_back { -size } else { size };
    let line = GrantLine { v: VERSION, kind: Kind::Grant, at: now, month, user: args.user.clone(), bytes };
    grants::append(&lock, &line)?;
    let sum = if args.take_back { before - args.size } else { before.saturating_add(args.size) };
    let has_quota = config.users.iter().any(|user| user.name == args.user && user.quota_bytes.is_some());
    output::print(&format!("{}: {} granted for {month}\n", args.user, Written(sum)))?;
    if !has_quota {
        output::complain(&format!("note: `{}` has no quota, so a grant changes nothing", args.user));
    }
    Ok(Code::Done)
}
