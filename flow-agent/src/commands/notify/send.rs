//! Hands notices to their channels, and writes to the ledger before and after each.

use chrono::{DateTime, Utc};
use tokio::runtime::Runtime;

use super::letters;
use crate::clock;
use crate::commands::report::letters::address;
use crate::config::Config;
use crate::errors::chain;
use crate::exit::Failure;
use crate::ledger::calendar;
use crate::ledger::language::Language;
use crate::ledger::limits::due::{NoticeChoice, NoticeHistory, Repeat};
use crate::ledger::limits::notice::{Notice, NoticeEvent, NoticeLine, Subject};
use crate::ledger::record::{Kind, MailState, VERSION};
use crate::mail::{Delivery, MailConfig, Mailer as _, Scope, SmtpMailer, SmtpTiming};
use crate::notify::{Channel, ChannelConfig, SendOutcome};
use crate::render::Templates;
use crate::store::StoreError;
use crate::store::notices::Notices;

/// How many notices one run sends over a channel, because services limit messages per minute. The rest waits for the
/// next run.
const MOST_A_RUN: usize = 20;

/// The channel name of the letter to the user whom a notice is about.
const MAIL: &str = "mail";

/// The channel name of the letter to `mail.admins`.
const ADMINS: &str = "admins";

/// Where notices are sent.
pub(super) enum Target<'a> {
    Users(&'a MailConfig),
    Admins(&'a MailConfig),
    Channel(&'a ChannelConfig),
}

/// What became of the notices of a run.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) sent: usize,
    /// Failures that a person should look at.
    pub(super) failures: Vec<String>,
}

/// What a run works with.
pub(super) struct Sender<'a> {
    pub(super) config: &'a Config,
    pub(super) templates: &'a Templates,
    pub(super) ledger: Notices,
    pub(super) told: NoticeHistory,
    pub(super) runtime: &'a Runtime,
    pub(super) retry_now: bool,
}

/// The outcome of one attempt.
enum Attempt {
    Done,
    /// It was sent, but not to these recipients.
    LeftOut(Vec<String>),
    /// It failed, and the next one probably would too.
    Stop(String),
    /// It failed for a reason that does not concern the next one.
    Failed(String),
}

/// All channels of the configuration, mail first.
pub(super) fn targets(config: &Config) -> Vec<Target<'_>> {
    let mail = config.mail.iter().flat_map(|mail| {
        let admins = (!mail.admins.is_empty()).then_some(Target::Admins(mail));
        [Target::Users(mail)].into_iter().chain(admins)
    });
    mail.chain(config.notify.iter().map(Target::Channel)).collect()
}

/// The notices that are to be sent to a target now.
pub(super) fn due<'n>(
    config: &Config,
    target: &Target<'_>,
    notices: &'n [Notice],
    told: &NoticeHistory,
    now: DateTime<Utc>,
    retry_now: bool,
) -> Vec<&'n Notice> {
    let takes = |event: NoticeEvent| match target {
        // Users are not told about nodes.
        Target::Users(_) => {
            matches!(event, NoticeEvent::Warn | NoticeEvent::Forecast | NoticeEvent::Cut | NoticeEvent::Expire)
        }
        Target::Admins(_) => true,
        Target::Channel(channel) => channel.events.contains(&event),
    };
    let choice = NoticeChoice { channel: target.name(), takes: &takes, repeat: target.repeat(), now, retry_now };
    let mut due = told.due(notices, &choice);
    if let Target::Users(_) = target {
        due.retain(|notice| notice.subject.user.as_deref().is_some_and(|user| address(config, user).is_some()));
    }
    due
}

impl Target<'_> {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Users(_) => MAIL,
            Self::Admins(_) => ADMINS,
            Self::Channel(channel) => &channel.name,
        }
    }

    pub(super) fn language(&self, config: &Config, notice: &Notice) -> Language {
        match self {
            Self::Users(_) => {
                let user = notice.subject.user.as_deref();
                user.and_then(|user| address(config, user)).map_or(Language::English, |(_, language)| language)
            }
            Self::Admins(_) => Language::English,
            Self::Channel(channel) => channel.language,
        }
    }

    fn repeat(&self) -> Repeat {
        match self {
            Self::Users(_) | Self::Admins(_) => Repeat::UnlessRefused,
            Self::Channel(_) => Repeat::UntilAccepted,
        }
    }
}

impl Sender<'_> {
    /// Sends what is due to one target after the other. The failure of one does not affect the others.
    ///
    /// # Errors
    /// When the ledger cannot be written: nothing is sent that could not be recorded.
    pub(super) fn send_all(&mut self, notices: &[Notice]) -> Result<Summary, Failure> {
        let mut summary = Summary::default();
        for target in targets(self.config) {
            self.settle(&target)?;
            let due = due(self.config, &target, notices, &self.told, clock::now().wall, self.retry_now);
            if due.is_empty() {
                continue;
            }
            match &target {
                Target::Channel(channel) => self.send_to_channel(&target, channel, &due, &mut summary)?,
                Target::Users(mail) | Target::Admins(mail) => self.send_by_mail(&target, mail, &due, &mut summary)?,
            }
        }
        Ok(summary)
    }

    /// Records as unknown the notices that were being handed over when an earlier run ended.
    fn settle(&mut self, target: &Target<'_>) -> Result<(), StoreError> {
        for subject in self.told.interrupted(target.name()) {
            let why = "the previous run ended while it was being sent".to_owned();
            self.write(target, &subject, MailState::Unknown, Some(why))?;
        }
        Ok(())
    }

    fn send_to_channel(
        &mut self,
        target: &Target<'_>,
        config: &ChannelConfig,
        due: &[&Notice],
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        let channel = match Channel::open(config) {
            Ok(channel) => channel,
            Err(error) => {
                summary.failures.push(format!("channel {}: {}", config.name, chain(&error)));
                return Ok(());
            }
        };
        for notice in due.iter().take(MOST_A_RUN) {
            let now = clock::now().wall;
            let text = letters::text(self.config, self.templates, notice, config.language, now)?;
            let message = letters::message(self.config, notice, text, now);
            self.write(target, &notice.subject, MailState::Sending, None)?;
            let attempt = match channel.send(&message, now.timestamp()) {
                SendOutcome::Accepted { reply } => {
                    self.write(target, &notice.subject, MailState::Sent, Some(reply))?;
                    Attempt::Done
                }
                SendOutcome::Refused { reply, is_reached } => {
                    self.write(target, &notice.subject, MailState::Failed, Some(reply.clone()))?;
                    if is_reached { Attempt::Failed(reply) } else { Attempt::Stop(reply) }
                }
                SendOutcome::Unknown { why } => {
                    self.write(target, &notice.subject, MailState::Unknown, Some(why.clone()))?;
                    Attempt::Stop(why)
                }
            };
            if !summary.goes_on(target, attempt) {
                break;
            }
        }
        Ok(())
    }

    fn send_by_mail(
        &mut self,
        target: &Target<'_>,
        mail: &MailConfig,
        due: &[&Notice],
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        let mut mailer = match SmtpMailer::new(mail, SmtpTiming::default()) {
            Ok(mailer) => mailer,
            Err(error) => {
                summary.failures.push(format!("channel {}: {}", target.name(), chain(&error)));
                return Ok(());
            }
        };
        for notice in due.iter().take(MOST_A_RUN) {
            let now = clock::now().wall;
            let language = target.language(self.config, notice);
            let to = match target {
                Target::Users(_) => {
                    let user = notice.subject.user.as_deref();
                    user.and_then(|user| address(self.config, user)).map(|(to, _)| to.clone()).into_iter().collect()
                }
                Target::Admins(_) | Target::Channel(_) => mail.admins.clone(),
            };
            let text = letters::text(self.config, self.templates, notice, language, now)?;
            let letter = letters::letter(self.config, notice, &mail.from, &to, language, text, now)?;
            // Written before the server is contacted, as for a webhook: an attempt that never reached the server counts
            // too.
            self.write(target, &notice.subject, MailState::Sending, None)?;
            let offered = self.runtime.block_on(mailer.offer(&letter));
            let delivery = match offered {
                Ok(()) => self.runtime.block_on(mailer.deliver(&letter)),
                Err(refusal) => Delivery::Refused(refusal),
            };
            let attempt = match delivery {
                Delivery::Accepted { reply, left_out } => {
                    self.write(target, &notice.subject, MailState::Sent, Some(reply))?;
                    if left_out.is_empty() { Attempt::Done } else { Attempt::LeftOut(left_out) }
                }
                Delivery::Refused(refusal) => {
                    self.write(target, &notice.subject, MailState::Failed, Some(refusal.reply.clone()))?;
                    match refusal.scope {
                        Scope::Server => Attempt::Stop(refusal.reply),
                        Scope::Letter => Attempt::Failed(refusal.reply),
                    }
                }
                Delivery::Unknown { why } => {
                    self.write(target, &notice.subject, MailState::Unknown, Some(why.clone()))?;
                    Attempt::Stop(why)
                }
            };
            if !summary.goes_on(target, attempt) {
                break;
            }
        }
        self.runtime.block_on(mailer.leave());
        Ok(())
    }

    fn write(
        &mut self,
        target: &Target<'_>,
        subject: &Subject,
        state: MailState,
        reply: Option<String>,
    ) -> Result<(), StoreError> {
        let line = NoticeLine {
            v: VERSION,
            kind: Kind::Notice,
            at: calendar::local(self.config.timezone, clock::now().wall),
            subject: subject.clone(),
            channel: target.name().to_owned(),
            state,
            reply,
        };
        self.ledger.append(&line)?;
        self.told.add(&line);
        Ok(())
    }
}

impl Summary {
    /// Notes an attempt. Returns false if the rest must wait for the next run.
    fn goes_on(&mut self, target: &Target<'_>, attempt: Attempt) -> bool {
        match attempt {
            Attempt::Done => {
                self.sent += 1;
                true
            }
            Attempt::LeftOut(refused) => {
                self.sent += 1;
                let refused = refused.join("; not to ");
                self.failures.push(format!("channel {}: sent, but not to {refused}", target.name()));
                true
            }
            Attempt::Failed(why) => {
                self.failures.push(format!("channel {}: {why}", target.name()));
                true
            }
            Attempt::Stop(why) => {
                self.failures
                    .push(format!("channel {}: {why}; the remaining notices wait for the next run", target.name()));
                false
            }
        }
    }
}
