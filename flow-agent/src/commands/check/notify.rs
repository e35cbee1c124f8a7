//! Section notify: whether the channels of notices can be used, and whether they accepted what was sent last.

use chrono::{DateTime, FixedOffset, Utc};

use super::finding::{Finding, Section};
use crate::config::Config;
use crate::errors::{chain, nearest};
use crate::ledger::calendar;
use crate::ledger::limits::notice::NoticeLine;
use crate::ledger::record::{MailState, stamp};
use crate::notify::{Channel, ChannelConfig, Message, SendOutcome};
use crate::store::StateDir;
use crate::store::notices::Notices;

/// Examines every channel; `send_test` names one that gets a short message.
pub(super) fn findings(config: &Config, now: DateTime<Utc>, send_test: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(name) = send_test.filter(|name| config.notify.iter().all(|channel| channel.name != **name)) {
        let names: Vec<&str> = config.notify.iter().map(|channel| channel.name.as_str()).collect();
        let help = match nearest(name, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None if names.is_empty() => {
                "there is no [[notify]] in the configuration; a mail address contains an @".to_owned()
            }
            None => format!("existing channels: {}; a mail address contains an @", names.join(", ")),
        };
        findings.push(Finding::fail(Section::Notify, format!("there is no channel `{name}`")).help(help));
    }
    let lines = match Notices::read(&StateDir::new(&config.state_dir)) {
        Ok(content) => {
            let damages = content.damages.iter().map(|damage| Finding::warn(Section::Notify, damage.to_string()));
            findings.extend(damages);
            content.lines
        }
        Err(error) => {
            findings.push(Finding::error(Section::Notify, &error));
            Vec::new()
        }
    };
    for channel in &config.notify {
        let is_tested = send_test == Some(channel.name.as_str());
        findings.push(look_at(config, channel, &lines, now, is_tested));
    }
    findings
}

fn look_at(config: &Config, channel: &ChannelConfig, lines: &[NoticeLine], now: DateTime<Utc>, test: bool) -> Finding {
    let name = &channel.name;
    let open = match Channel::open(channel) {
        Ok(open) => open,
        Err(error) => return Finding::fail(Section::Notify, format!("{name}: {}", chain(&error))).help(error.help()),
    };
    let host = open.host();
    if test {
        return match open.send(&test_message(config, now), now.timestamp()) {
            SendOutcome::Accepted { reply } => {
                Finding::ok(Section::Notify, format!("{name}: {host} accepted the test: {reply}"))
            }
            SendOutcome::Refused { reply, .. } => Finding::fail(Section::Notify, format!("{name}: {host}: {reply}"))
                .help("check the address in its `url_file`".to_owned()),
            SendOutcome::Unknown { why } => Finding::fail(Section::Notify, format!("{name}: {host}: {why}")),
        };
    }
    match health(lines, name) {
        Health::Unused => Finding::ok(Section::Notify, format!("{name}: {host}, nothing has been sent yet")),
        Health::Alive(at) => {
            Finding::ok(Section::Notify, format!("{name}: {host}, accepted a notice at {}", stamp::show(at)))
        }
        Health::Dead { since, why } => {
            let what = format!("{name}: {host} has accepted nothing since {}: {why}", stamp::show(since));
            Finding::fail(Section::Notify, what).help(format!("try `flow-agent check --send-test {name}`"))
        }
    }
}

/// The state of a channel according to the ledger.
#[derive(Debug, PartialEq, Eq)]
enum Health {
    Unused,
    Alive(DateTime<FixedOffset>),
    Dead { since: DateTime<FixedOffset>, why: String },
}

fn health(lines: &[NoticeLine], channel: &str) -> Health {
    let mut health = Health::Unused;
    for line in lines.iter().filter(|line| line.channel == channel) {
        match line.state {
            MailState::Sent => health = Health::Alive(line.at),
            MailState::Failed | MailState::Unknown => {
                let since = if let Health::Dead { since, .. } = health { since } else { line.at };
                health = Health::Dead { since, why: line.reply.clone().unwrap_or_default() };
            }
            MailState::Sending => {}
        }
    }
    health
}

fn test_message(config: &Config, now: DateTime<Utc>) -> Message {
    let text = format!("flow-agent on {}: this is a test. Notices will arrive here.", config.node);
    Message {
        id: format!("test-{}", now.timestamp_micros()),
        event: "test",
        level: None,
        month: String::new(),
        user: None,
        node: None,
        day: None,
        quota_bytes: None,
        used_bytes: None,
        left_bytes: None,
        forecast_bytes: None,
        title: format!("flow-agent on {}: test", config.node),
        text,
        sent_by: config.node.clone(),
        at: stamp::show(calendar::local(config.timezone, now)).to_string(),
    }
}

#[cfg(test)]
mod tests;
