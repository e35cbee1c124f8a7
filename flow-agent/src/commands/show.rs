//! `flow-agent show`: shows usage from the logs on disk. It writes nothing and takes no lock.

mod days;
mod known;
pub mod period;
pub mod read;
pub mod sum;
mod views;

use std::collections::BTreeSet;

use clap::ValueEnum;

use crate::clock;
use crate::commands::{Common, output};
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::ledger::block::{Daily, Hourly};
use crate::ledger::usage::Settings;
use crate::ports::spec;
use crate::store::StateDir;
use period::{DefaultPeriod, Period, ShowContext, TimeArg};
use read::{Log, ShownBlock};

/// Show what was counted, the open hour included
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to show; without it today and this month at a glance
    #[arg(value_enum)]
    pub view: Option<View>,
    /// Only these ports, such as 443 or 8000-8100,9000
    #[arg(long, value_name = "P", value_parser = spec::set)]
    pub port: Option<BTreeSet<u16>>,
    /// Only this user
    #[arg(long, value_name = "U")]
    pub user: Option<String>,
    /// From when: today, yesterday, 6h (ago), 2026-10, 2026-10-05, 2026-10-05T13:00
    #[arg(long, value_name = "T")]
    pub from: Option<TimeArg>,
    /// Until when; a day or month that is named belongs to it
    #[arg(long, value_name = "T")]
    pub to: Option<TimeArg>,
    /// At most so many rows, the newest or largest; 0: all [default: 50 of a table, 10 of top, else all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// One JSON object a row, with every byte
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// CSV with a header, with every byte
    #[arg(long)]
    pub csv: bool,
}

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// What each port moved, hour by hour (the last 24)
    Hours,
    /// What each port moved, day by day (the last 31)
    Days,
    /// What each user moved, month by month (the last 12)
    Months,
    /// Who moved most (this month)
    Top,
    /// All of it, and what belongs to nobody (this month)
    Total,
}

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Table,
    Json,
    Csv,
}

impl Args {
    fn form(&self) -> Form {
        match (self.json, self.csv) {
            (true, _) => Form::Json,
            (false, true) => Form::Csv,
            (false, false) => Form::Table,
        }
    }

    /// The maximum number of rows.
    fn limit(&self, default: usize) -> usize {
        match self.limit {
            Some(0) => usize::MAX,
            Some(limit) => limit,
            None => default,
        }
    }

    /// The maximum number of rows of a view without a natural limit.
    fn rows(&self) -> usize {
        self.limit(if self.form() == Form::Table { 50 } else { usize::MAX })
    }

    fn asks_for(&self, port: u16, user: Option<&str>) -> bool {
        self.port.as_ref().is_none_or(|ports| ports.contains(&port))
            && self.user.as_deref().is_none_or(|name| user == Some(name))
    }

    /// Removes the lines that were not asked for.
    fn narrow_hour(&self, shown: &mut ShownBlock<Hourly>) {
        shown.block.lines.retain(|line| self.asks_for(line.port, line.user.as_deref()));
    }

    fn narrow_day(&self, shown: &mut ShownBlock<Daily>) {
        shown.block.lines.retain(|line| self.asks_for(line.port, line.user.as_deref()));
    }

    /// Whether only some ports were asked for.
    fn is_narrow(&self) -> bool {
        self.port.is_some() || self.user.is_some()
    }
}

/// Prints the view.
///
/// # Errors
/// Exit code 2 if the times are contradictory or a user or port never existed, 3 or 5 if the configuration or a file cannot be read. Damaged lines are
/// reported on stderr, and the code is 6.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    let context =
        ShowContext { now: clock::now().wall, zone: config.timezone, month_start_day: config.month_start_day };
    if let (Some(from), Some(to)) = (&args.from, &args.to)
        && Period::new(Some(from), Some(to), DefaultPeriod::Days, &context).runs_backwards()
    {
        let error = anyhow::anyhow!("--to is before --from: no time lies between them");
        return Err(Failure::new(Code::Usage, error));
    }
    if config.only_gathers() && !config.state_dir.exists() {
        output::print(&format!("{}\n", only_gathers(&config)))?;
        return Ok(Code::Done);
    }
    let settings = Settings { node: config.node.clone(), zone: config.timezone, bucket: config.count.bucket };
    let mut log = Log::new(StateDir::new(&config.state_dir), settings)?;
    // If a time is given without a view, its total is shown.
    let default = if args.from.is_some() || args.to.is_some() { Some(View::Total) } else { None };
    let view = args.view.or(default);
    known::refuse_unknown(&args, &log, &config)?;
    // A main node has months without a log of its own.
    if view != Some(View::Months) && known::nothing_counted(&log)? {
        let why = match config.only_gathers() {
            true => only_gathers(&config),
            false => "nothing was counted yet: `flow-agent check` says whether an agent runs".to_owned(),
        };
        if args.form() == Form::Table {
            output::print(&format!("{why}\n"))?;
            return Ok(log.finish());
        }
        output::complain(&format!("note: {why}"));
        if matches!(view, Some(View::Total) | None) {
            return Ok(log.finish());
        }
    }
    match view {
        Some(View::Hours) => views::hours(&args, &mut log, &context)?,
        Some(View::Days) => views::days(&args, &mut log, &context)?,
        Some(View::Months) => views::months(&args, &mut log, &context)?,
        Some(View::Top) => views::top(&args, &mut log, &context)?,
        Some(View::Total) => views::total(&args, &mut log, &context)?,
        None => views::glance(&args, &mut log, &context)?,
    }
    Ok(log.finish())
}

/// Why a main node has nothing to show.
fn only_gathers(config: &Config) -> String {
    let reports = config.state_dir.join("reports");
    format!("this main node counts nothing itself: see `flow-agent show months`, and `{}`", reports.display())
}
