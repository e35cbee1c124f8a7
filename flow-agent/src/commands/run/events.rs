//! The events that wake the agent: time, SIGHUP, changed files, interfaces that appear or disappear, and questions.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::agent::Agent;
use super::answers::Answering;
use super::asks::Asks;
use super::supervisor::Stop;
use crate::backend::InterfaceEvents;
use crate::config::Config;
use crate::exit::Failure;

/// How long a stopping agent waits for the roll-up: the service manager, and a person, expect a reaction to a signal
/// within two seconds.
const ROLL_UP_PATIENCE: Duration = Duration::from_secs(1);

/// Counts until `stop` asks it to stop. On SIGHUP, `reload` returns the new configuration. The questions in `asks`,
/// which come from `answering`, are answered between two steps of counting.
///
/// # Errors
/// When counting cannot continue, or the last bucket cannot be written.
pub async fn run(
    agent: &mut Agent,
    stop: &mut Stop,
    (answering, asks): (&mut Answering, &mut Asks),
    reload: &dyn Fn() -> Result<Config, Failure>,
) -> Result<(), Failure> {
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|error| anyhow::Error::new(error).context("failed to listen for signals"))?;
    let mut interfaces = InterfaceEvents::listen()?;
    agent.say_begin();
    loop {
        let pause = agent.pause();
        tokio::select! {
            () = stop.asked() => break,
            () = sleep(pause) => agent.tick()?,
            Some(ask) = asks.next() => agent.answer(ask),
            heard = agent.hear_of_ports() => agent.attend_ports(heard),
            heard = interfaces.changed() => {
                heard?;
                agent.inspect();
            }
            _ = hangup.recv() => match reload() {
                Ok(config) => {
                    agent.reconfigure(config);
                    answering.follow(&agent.config().answer);
                }
                Err(failure) => tracing::error!("keeping the current configuration\n{}", failure.render()),
            },
        }
    }
    agent.leave(ROLL_UP_PATIENCE)
}
