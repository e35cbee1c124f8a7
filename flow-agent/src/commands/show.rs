//! `flow-agent show`: shows usage from the logs on disk and from the running agent. It writes nothing and takes no
//! lock.

mod brief;
mod days;
mod first;
pub mod hours;
pub(in crate::commands) mod known;
pub mod look;
pub mod narrow;
mod nodes;
mod percentile;
pub mod period;
pub mod read;
mod slice;
mod source;
pub mod sum;
mod usage;
mod views;
mod whole_days;

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;

use crate::clock;
use crate::commands::gathered::directory;
use crate::commands::{Common, output};
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::ledger::unsealed::Settings;
use crate::ports::spec;
use crate::render::screen::ScreenStyle;
use crate::store::StateDir;
use look::LookArgs;
use narrow::Narrow;
use nodes::GatheredNodes;
use period::{DefaultPeriod, Period, ShowContext, TimeArg};
use read::Log;
use source::Source;

/// Printed instead of an empty table.
const NOTHING: &str = "no usage in this period; `flow-agent show` shows the latest figures\n";

/// Show what was counted, up to now
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to show [default: the state, today and this month on one screen]
    #[arg(value_enum)]
    pub view: Option<ShowView>,
    /// A line for each port or user [default: all in one line; for JSON and CSV: port for hours and days, user for months]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub by: Option<LineBy>,
    /// Only these ports, such as 443 or 8000-8100,9000
    #[arg(long, value_name = "P", value_parser = spec::set)]
    pub port: Option<BTreeSet<u16>>,
    /// Only this user
    #[arg(long, value_name = "U")]
    pub user: Option<String>,
    /// On a main node: the days gathered from this node, or from all nodes
    #[arg(long, value_name = "NAME|all")]
    pub node: Option<String>,
    /// Start: today, yesterday, 6h (ago), 2026-10, 2026-10-05, 2026-10-05T13:00; days, months and years are shown whole
    #[arg(long, value_name = "T")]
    pub from: Option<TimeArg>,
    /// End, in the same forms; a day or month is included
    #[arg(long, value_name = "T")]
    pub to: Option<TimeArg>,
    /// The 95th percentile of the rate [default: of this month]; needs buckets of at most five minutes
    #[arg(long = "95th", conflicts_with_all = ["view", "by", "node"])]
    pub percentile: bool,
    /// Maximum number of rows, the newest or largest; 0: all [default: 50 for a table, 10 for top, else all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Repeat at this interval, such as 2s
    #[arg(long, value_name = "TIME", value_parser = interval, conflicts_with_all = ["json", "csv"])]
    pub watch: Option<Duration>,
    /// One JSON object per row, with exact bytes
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// CSV with a header, with exact bytes
    #[arg(long)]
    pub csv: bool,
    #[command(flatten)]
    pub look: LookArgs,
}

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShowView {
    /// Hour by hour (the last 24)
    Hours,
    /// Day by day (the last 31)
    Days,
    /// Month by month (the last 12)
    Months,
    /// Year by year (the last 10)
    Years,
    /// Users and ports with the most traffic (this month)
    Top,
    /// The total, and traffic of no watched port (this month)
    Total,
}

/// What has a line of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LineBy {
    /// Everything together
    All,
    Port,
    User,
}

impl LineBy {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Port => "port",
            Self::User => "user",
        }
    }
}

/// Parses the interval between two screens.
pub fn interval(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let fits = (Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&time);
    fits.then_some(time).ok_or_else(|| "expected 100ms to 1d".to_owned())
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

    /// What has a line of its own in `view`.
    fn by(&self, view: ShowView) -> LineBy {
        let default = match (self.form(), view) {
            (Form::Table, _) => LineBy::All,
            (_, ShowView::Hours | ShowView::Days) => LineBy::Port,
            (_, ShowView::Months | ShowView::Years | ShowView::Top | ShowView::Total) => LineBy::User,
        };
        self.by.unwrap_or(default)
    }

    fn narrow(&self) -> Narrow {
        Narrow { ports: self.port.clone(), user: self.user.clone() }
    }

    /// Whether only some ports were asked for.
    fn is_narrow(&self) -> bool {
        self.port.is_some() || self.user.is_some()
    }
}

/// Prints the view, once or repeatedly.
///
/// # Errors
/// Exit code 2 if the options are contradictory or a user, port or node never existed, 3 or 5 if the configuration or a
/// file cannot be read. Damaged lines are reported on stderr, and the code is 6.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    let Some(interval) = args.watch else {
        return once(&config, &args, &args.look.look(config.show));
    };
    loop {
        let look = args.look.look(config.show);
        if !look.is_piped {
            // Move to the upper left corner, and clear the screen below.
            output::print("\x1b[H\x1b[J")?;
        }
        let code = once(&config, &args, &look)?;
        // A reader that has closed the pipe wants no more, which is noticed at the next output.
        if !output::print(if look.is_piped { "\n" } else { "" })? {
            return Ok(code);
        }
        thread::sleep(interval);
    }
}

fn once(config: &Config, args: &Args, look: &ScreenStyle) -> Result<Code, Failure> {
    let context =
        ShowContext { now: clock::now().wall, zone: config.timezone, month_start_day: config.month_start_day };
    if let (Some(from), Some(to)) = (&args.from, &args.to)
        && Period::new(Some(from), Some(to), DefaultPeriod::Days, &context).runs_backwards()
    {
        return Err(usage_error("--to is before --from"));
    }
    if matches!(args.view, Some(ShowView::Months | ShowView::Years)) && args.by == Some(LineBy::Port) {
        return Err(usage_error("months and years are not stored by port: use --by all or --by user"));
    }
    if args.node.is_none() && config.only_gathers() && !config.state_dir.exists() {
        output::print(&format!("{}\n", only_gathers(config)))?;
        return Ok(Code::Done);
    }
    let settings = Settings { node: config.node.clone(), zone: config.timezone, bucket: config.count.bucket };
    // The agent is asked first: what it seals after that is in its answer, and is not counted again from the files.
    let source = Source::of(config);
    let state = StateDir::new(&config.state_dir);
    let log = match source.open() {
        Some(open) => Log::answered(state, settings, open)?,
        None => Log::new(state, settings)?,
    };
    let mut log = log.narrowed(args.narrow());
    // If a time is given without a view, show the total of that time.
    let default = if args.from.is_some() || args.to.is_some() { Some(ShowView::Total) } else { None };
    let mut view = args.view.or(default);
    if let Some(node) = &args.node {
        log = log.of_nodes(gathered(config, node)?);
        view = Some(view.unwrap_or(ShowView::Days));
        if view == Some(ShowView::Hours) {
            let failure = usage_error("only days are gathered from nodes, no hours");
            return Err(failure.help("run `flow-agent show hours` on the node itself"));
        }
        let (from, to) = (args.from.as_ref(), args.to.as_ref());
        let is_of_instants = matches!(Period::new(from, to, DefaultPeriod::Month, &context), Period::Instants { .. });
        if matches!(view, Some(ShowView::Top | ShowView::Total)) && is_of_instants {
            let failure = usage_error("only whole days are gathered from nodes, but --from or --to is a time of day");
            return Err(failure.help("give dates, or run `flow-agent show` on the node itself"));
        }
    }
    known::refuse_unknown(args, &log, config)?;
    // A main node has months even without a log of its own.
    let is_of_months = matches!(view, Some(ShowView::Months | ShowView::Years)) || args.node.is_some();
    if !is_of_months && known::nothing_counted(&log)? {
        let why = match config.only_gathers() {
            true => only_gathers(config),
            false if has_gathered(config) => "this machine has counted nothing itself: `flow-agent show --node all` shows \
                                              the gathered days, and `flow-agent check` says whether an agent is running"
                .to_owned(),
            false => "nothing has been counted yet: `flow-agent check` says whether an agent is running".to_owned(),
        };
        if args.form() == Form::Table {
            output::print(&format!("{why}\n"))?;
            return Ok(log.finish());
        }
        output::complain(&format!("note: {why}"));
        if matches!(view, Some(ShowView::Total) | None) {
            return Ok(log.finish());
        }
    }
    if args.percentile {
        percentile::show(args, &mut log, &context, look)?;
        return Ok(log.finish());
    }
    match view {
        Some(ShowView::Top) => views::top(args, &mut log, &context, look)?,
        Some(ShowView::Total) => views::total(args, &mut log, &context, look)?,
        Some(view) => usage::show(args, view, &mut log, &context, look)?,
        None => first::show(args, &mut log, config, &context, &source, look)?,
    }
    Ok(log.finish())
}

fn usage_error(what: &str) -> Failure {
    Failure::new(Code::Usage, anyhow::Error::msg(what.to_owned()))
}

/// The nodes that `--node` selects.
fn gathered(config: &Config, node: &str) -> Result<GatheredNodes, Failure> {
    let known: Vec<String> = config.nodes.iter().map(|node| node.name.clone()).collect();
    let directory = directory(config);
    if known.is_empty() {
        let failure = usage_error("this is not a main node: its configuration has no `[[nodes]]`");
        return Err(failure.help("omit --node to show the figures of this node"));
    }
    if node == "all" {
        return Ok(GatheredNodes { names: known, directory });
    }
    if known.iter().any(|name| name == node) {
        return Ok(GatheredNodes { names: vec![node.to_owned()], directory });
    }
    let failure = usage_error(&format!("there is no node `{}` in `[[nodes]]`", node.escape_default()));
    Err(match crate::errors::nearest(node, known.iter().map(String::as_str)) {
        Some(name) => failure.help(format!("did you mean `{name}`?")),
        None => failure.help(format!("known nodes: {}", known.join(", "))),
    })
}

/// Whether days of other nodes are here.
fn has_gathered(config: &Config) -> bool {
    !config.nodes.is_empty() && config.state_dir.join("nodes").is_dir()
}

/// Why a main node has nothing to show.
fn only_gathers(config: &Config) -> String {
    let reports = config.state_dir.join("reports");
    format!(
        "this main node counts nothing itself; `flow-agent show --node all` shows the gathered days; see also \
         `flow-agent show months` and `{}`",
        reports.display()
    )
}
