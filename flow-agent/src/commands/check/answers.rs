//! Section agent: whether a running agent answers at its socket and, if so configured, over TCP.

use super::finding::{Finding, Section};
use super::service::ServiceManager;
use crate::answer::client::{self, AskError};
use crate::commands::ask;
use crate::config::Config;
use crate::errors::chain;
use crate::ledger::now::Health;

/// The findings about the answers of a running agent.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let socket = ask::socket(config).map(|path| judge(&format!("`{}`", path.display()), client::health(&path)));
    let listen = config.answer.listen.map(|address| judge(&format!("http://{address}"), client::health_at(address)));
    socket.into_iter().chain(listen).collect()
}

fn judge(place: &str, health: Result<Health, AskError>) -> Finding {
    match health {
        Ok(health) if health.healthy => Finding::ok(Section::Agent, format!("answers at {place}")),
        Ok(health) => Finding::warn(
            Section::Agent,
            format!("answers at {place}, but reports problems: {}", health.problems.join("; ")),
        ),
        Err(error) => {
            let services = ServiceManager::here();
            let (log, restart) = (services.log(), services.restart());
            Finding::warn(Section::Agent, format!("no answer at {place}: {}", chain(&error)))
                .help(format!("read {log}, where it says why the agent does not listen; then {restart}"))
        }
    }
}
