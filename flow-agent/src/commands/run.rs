//! `flow-agent run`: count, until stopped.

mod agent;
mod answers;
mod asks;
mod day_rollups;
mod elsewhere;
mod events;
mod limits;
mod nat;
mod recorder;
mod say;
mod setup;
mod supervisor;
mod timers;
mod watched;

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use self::answers::Answering;
use self::supervisor::{event_loop, supervise};

use crate::backend::AttachPlace;
use crate::backend::BackendChoice;
use crate::commands::Common;
use crate::config::Config;
use crate::config::value::{self, Value as _};
use crate::exit::{Code, Failure};
use crate::ledger::calendar::BucketLength;
use crate::ports::spec;

/// Count until stopped: SIGHUP re-reads ports and users, SIGTERM writes a last bucket and exits
///
/// The counters are in the kernel: counting continues while no agent runs, and the next agent takes them over.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What counts: auto (eBPF if the kernel allows it, else nftables, else iptables), ebpf, nftables, or iptables
    /// [default: auto, or what the configuration says]
    #[arg(long, value_name = "BACKEND", value_parser = one_of(BACKENDS), hide_possible_values = true)]
    backend: Option<BackendChoice>,
    /// Count with iptables rules: short for --backend iptables
    #[arg(long, conflicts_with = "backend")]
    iptables: bool,
    /// Count on these interfaces: names, globs, or `auto` for those with a default route
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = interface)]
    interface: Vec<String>,
    /// Watch these ports and ranges, as in 443 8000-8100, instead of `ports.watch` and `ports.listening`; those of users and
    /// of port files are watched as well
    #[arg(long, value_name = "SPEC", num_args = 1..)]
    ports: Vec<String>,
    /// The length of a bucket: a divisor of an hour
    #[arg(long, value_name = "TIME", value_parser = bucket)]
    bucket: Option<BucketLength>,
    /// How often the newest reading is saved, in case of a power cut
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    checkpoint: Option<Duration>,
    /// Take one reading, write one bucket, and exit
    #[arg(long)]
    once: bool,
    /// Where the program is attached: auto (tcx where the kernel has it, 6.6 and later), tcx, or clsact
    #[arg(long, hide = true, value_name = "PLACE", default_value = "auto", value_parser = one_of(PLACES))]
    attach: AttachPlace,
    /// Continue although the state directory is older than the counters, as after restoring a backup: what was sealed
    /// since then is counted again
    #[arg(long)]
    accept_overlap: bool,
}

/// Counts until a signal asks it to stop, or takes a single reading.
///
/// # Errors
/// With the documented exit code: 3 for the configuration, 4 for the kernel and the interfaces, 5 for the files.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = configured(common, &args)?;
    if args.once {
        event_loop()?
            .block_on(async { setup::start(config, args.attach, args.accept_overlap).await?.leave(Duration::MAX) })?;
        return Ok(Code::Done);
    }
    let common = common.clone();
    supervise(move |mut stop| {
        event_loop()?.block_on(async {
            let mut agent = setup::start(config, args.attach, args.accept_overlap).await?;
            let (mut answering, mut asks) = Answering::start(&agent);
            events::run(&mut agent, &mut stop, (&mut answering, &mut asks), &|| configured(&common, &args)).await
        })
    })?;
    Ok(Code::Done)
}

/// Takes one reading and writes one bucket.
///
/// # Errors
/// As for [`execute`].
pub fn once(config: Config) -> Result<(), Failure> {
    event_loop()?.block_on(async { setup::start(config, AttachPlace::Auto, false).await?.leave(Duration::MAX) })
}

/// The configuration, with the options of the command line in place of its values.
fn configured(common: &Common, args: &Args) -> Result<Config, Failure> {
    let mut config = common.load()?;
    if let Some(backend) = args.backend.or(args.iptables.then_some(BackendChoice::Iptables)) {
        config.count.backend = backend;
    }
    if !args.interface.is_empty() {
        config.count.interfaces.clone_from(&args.interface);
    }
    if !args.ports.is_empty() {
        let specs = args.ports.iter().map(|text| spec::set(text)).collect::<Result<Vec<_>, _>>();
        let specs = specs.map_err(|error| Failure::new(Code::Usage, error))?;
        config.ports.watch = specs.into_iter().flatten().collect();
        config.ports.listening = false;
    }
    config.count.bucket = args.bucket.unwrap_or(config.count.bucket);
    config.count.checkpoint = args.checkpoint.unwrap_or(config.count.checkpoint);
    Ok(config)
}

const BACKENDS: [(&str, BackendChoice); 4] = [
    ("auto", BackendChoice::Auto),
    ("ebpf", BackendChoice::Ebpf),
    ("nftables", BackendChoice::Nftables),
    ("iptables", BackendChoice::Iptables),
];

const PLACES: [(&str, AttachPlace); 3] =
    [("auto", AttachPlace::Auto), ("tcx", AttachPlace::Tcx), ("clsact", AttachPlace::Clsact)];

/// Parses one of these names. Unlike a function, such a parser tells shells which names there are.
fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    names: [(&'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names.map(|(name, _)| name)).map(move |given| {
        let named = names.into_iter().find(|(name, _)| *name == given);
        named.expect("the parser accepts only these names").1
    })
}

fn interface(text: &str) -> Result<String, value::ValueError> {
    value::InterfacePattern::parse(text).map(|interface| interface.0)
}

fn bucket(text: &str) -> Result<BucketLength, value::ValueError> {
    BucketLength::parse(text)
}

fn seconds(text: &str) -> Result<Duration, value::ValueError> {
    value::Seconds::parse(text).map(|seconds| seconds.0)
}

#[cfg(test)]
mod tests;
