//! What wakes the agent: time, signals, files that changed, interfaces that came or went.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::agent::Agent;
use crate::backend::InterfaceEvents;
use crate::config::Config;
use crate::exit::Failure;

/// How long leaving waits for the roll-up: the service manager, and a person, want an answer to a signal within two
/// seconds.
const ROLL_UP_PATIENCE: Duration = Duration::from_secs(1);

/// Counts until SIGTERM or SIGINT; SIGHUP asks `reload` for the configuration.
///
/// # Errors
/// When counting cannot go on, or the last bucket cannot be written.
pub async fn run(agent: &mut Agent, reload: &dyn Fn() -> Result<Config, Failure>) -> Result<(), Failure> {
    let mut signals =
        Signals::new().map_err(|error| anyhow::Error::new(error).context("failed to listen for signals"))?;
    let mut interfaces = InterfaceEvents::listen()?;
    agent.say_begin();
    loop {
        let pause = agent.pause();
        tokio::select! {
            () = sleep(pause) => agent.tick(),
            () = agent.ports_changed() => agent.refresh_ports(),
            heard = interfaces.changed() => {
                heard?;
                agent.inspect();
            }
            _ = signals.hangup.recv() => match reload() {
                Ok(config) => agent.reconfigure(config),
                Err(failure) => tracing::error!("the configuration stays as it is\n{}", failure.render()),
            },
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
    }
    agent.leave(ROLL_UP_PATIENCE)
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}
