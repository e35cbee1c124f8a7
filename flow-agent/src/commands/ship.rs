//! `flow-agent ship`: sends the sealed buckets of the hourly log to ClickHouse. It reads the log and writes only its
//! own state; the counting agent does not depend on it.

mod batch;
mod pace;
mod pass;

use std::thread;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Common, output};
use crate::clock;
use crate::config::Config;
use crate::errors::chain;
use crate::exit::{Code, Failure};
use crate::fleet::rows::RowSender;
use crate::fleet::{Client, FleetConfig, RequestTiming};
use crate::ledger::calendar;
use crate::ledger::units::count;
use crate::store::{StateDir, ship};
use pass::{PassError, Shipper};

/// Send the sealed hours to ClickHouse
///
/// The acknowledged position is kept in `ship/ship.json` in the state directory. Sending the same hours again is harmless.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Send what is pending and exit, for cron; without this, every new bucket is sent until the process is stopped
    #[arg(long)]
    once: bool,
}

/// A lag that a person should know about.
pub(super) const LAG: TimeDelta = TimeDelta::hours(2);

/// Sends what has not been acknowledged yet.
///
/// # Errors
/// Exit code 3 if there is no `[fleet]` or one of its files cannot be used, 5 for the files and the lock. With
/// `--once`, the code is 6 if ClickHouse did not acknowledge everything, or if a bucket could not be sent as it is.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    let fleet = configured(&config)?;
    let client = Client::new(fleet, RequestTiming::default())?;
    let lock = StateDir::new(&config.state_dir).lock_ship()?;
    let shipped = ship::read(lock.state())?;
    let mut shipper = Shipper::new(&lock, client, sender(&config, fleet), shipped);
    if args.once {
        let sent = shipper.pass(clock::now().wall)?;
        output::print(&format!("{} sent in {}\n", count(sent.buckets, "bucket"), count(sent.rows, "row")))?;
        return Ok(if sent.refused > 0 { Code::Incomplete } else { Code::Done });
    }
    let spread = pace::spread(config.count.bucket);
    let offset = pace::random_up_to(spread);
    tracing::info!(
        node = %fleet.node, url = %fleet.url, offset_secs = offset.as_secs(),
        "sending sealed hours to ClickHouse"
    );
    thread::sleep(offset);
    let mut failures = 0;
    loop {
        let pause = match shipper.pass(clock::now().wall) {
            Ok(sent) => {
                if sent.buckets > 0 {
                    tracing::info!(buckets = sent.buckets, rows = sent.rows, "acknowledged");
                }
                failures = 0;
                let now = clock::now().wall;
                let next = calendar::next_boundary(config.timezone, config.count.bucket, now);
                (next - now).to_std().unwrap_or_default() + offset + Duration::from_secs(1)
            }
            Err(PassError::Store(error)) => return Err(error.into()),
            Err(PassError::Fleet(error)) => {
                let pause = pace::random_up_to(pace::backoff(failures));
                failures += 1;
                say_failure(&error, shipper.newest(), clock::now().wall, pause);
                pause
            }
        };
        thread::sleep(pause);
    }
}

/// The section `[fleet]` of the configuration.
///
/// # Errors
/// If there is none.
pub(super) fn configured(config: &Config) -> Result<&FleetConfig, Failure> {
    config.fleet.as_ref().ok_or_else(|| {
        Failure::new(Code::Config, anyhow::anyhow!("there is no [fleet] in the configuration"))
            .help("configure ClickHouse in [fleet]; docs/fleet.md describes how to set it up")
    })
}

fn sender(config: &Config, fleet: &FleetConfig) -> RowSender {
    RowSender {
        node: fleet.node.clone(),
        zone: config.timezone.name().to_owned(),
        bucket_seconds: config.count.bucket.seconds(),
        version: env!("CARGO_PKG_VERSION"),
    }
}

fn say_failure(error: &crate::fleet::FleetError, newest: Option<DateTime<Utc>>, now: DateTime<Utc>, pause: Duration) {
    let (error, next_try_secs) = (chain(error), pause.as_secs());
    match newest.map(|newest| now - newest).filter(|lag| *lag > LAG) {
        Some(lag) => {
            let lag_hours = lag.num_hours();
            tracing::error!(
                %error, next_try_secs, lag_hours,
                "ClickHouse has acknowledged nothing for a long time; the hours are kept"
            );
        }
        None => tracing::warn!(%error, next_try_secs, "not acknowledged; nothing is lost; will retry"),
    }
}
