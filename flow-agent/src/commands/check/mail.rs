//! Section mail: whether the templates can be used, and whether a server accepts letters.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::finding::{Finding, Section};
use crate::commands::templates;
use crate::config::Config;
use crate::errors::chain;
use crate::ledger::calendar;
use crate::mail::{
    Delivery, Header, Letter, LetterContent, MailConfig, Mailer as _, Refusal, SmtpMailer, SmtpTiming, compose,
};
use crate::render::TEMPLATE_NAMES;

/// Speaks to the mail server up to the point where a letter would begin, or, given an address, sends it a letter.
pub(super) fn findings(config: &Config, now: DateTime<Utc>, send_test: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(directory) = &config.report.templates {
        findings.push(match templates::load(config) {
            Ok(_) => Finding::ok(Section::Config, format!("the templates in `{}` can be used", directory.display())),
            Err(failure) => Finding::fail(Section::Config, format!("{:#}", failure.error)).help(failure.help),
        });
        findings.extend(unused(directory));
    }
    let Some(mail) = &config.mail else {
        if send_test.is_some() {
            findings.push(Finding::fail(Section::Mail, "there is no [mail] in the configuration"));
        }
        return findings;
    };
    let server = format!("{}:{}", mail.server.host, mail.server.port);
    findings.push(match speak(config, mail, now, send_test) {
        Ok(said) => Finding::ok(Section::Mail, format!("{server}: {said}")),
        Err(Problem { what, help }) => Finding::fail(Section::Mail, format!("{server}: {what}")).help(help),
    });
    findings
}

/// Files that are not used as templates: one of them may be a template whose name is misspelt.
#[expect(clippy::disallowed_methods, reason = "edge: files")]
fn unused(directory: &Path) -> Option<Finding> {
    let names = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut unused: Vec<String> = names.filter(|name| !TEMPLATE_NAMES.contains(&name.as_str())).collect();
    unused.sort();
    let what = format!("not used in `{}`: {}", directory.display(), unused.join(", "));
    let help = format!("valid template names: {}", TEMPLATE_NAMES.join(", "));
    (!unused.is_empty()).then(|| Finding::warn(Section::Config, what).help(Some(help)))
}

/// Why the mail server cannot be used, and what a person can do about it.
struct Problem {
    what: String,
    help: Option<String>,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self { what: refusal.reply, help: refusal.help }
    }
}

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self { what, help: None }
    }
}

fn speak(config: &Config, mail: &MailConfig, now: DateTime<Utc>, send_test: Option<&str>) -> Result<String, Problem> {
    let mut mailer = SmtpMailer::new(mail, SmtpTiming::default())
        .map_err(|error| Problem { what: chain(&error), help: error.help() })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let Some(address) = send_test else {
        runtime.block_on(mailer.greet())?;
        return Ok("connected and signed in".to_owned());
    };
    let letter = test_letter(config, mail, now, address)?;
    runtime.block_on(async {
        mailer.offer(&letter).await?;
        let delivery = mailer.deliver(&letter).await;
        mailer.leave().await;
        match delivery {
            Delivery::Accepted { reply, .. } => Ok(format!("accepted the letter to {address}: {reply}")),
            Delivery::Refused(refusal) => Err(refusal.into()),
            Delivery::Unknown { why } => Err(why.into()),
        }
    })
}

fn test_letter(config: &Config, mail: &MailConfig, now: DateTime<Utc>, address: &str) -> Result<Letter, String> {
    let domain = mail.from.rsplit('@').next().unwrap_or_default().trim_end_matches('>');
    let text = format!("Letters of flow-agent on {} arrive here.\n\nflow-agent 的信件可以送达此处。\n", config.node);
    let header = Header {
        from: &mail.from,
        to: &[address.to_owned()],
        message_id: &format!("<flow-agent.test.{}.{}@{domain}>", now.timestamp_micros(), config.node),
        reply_to_id: None,
        language: None,
        at: calendar::local(config.timezone, now),
    };
    let content = LetterContent {
        subject: "flow-agent: test".to_owned(),
        html: format!("<p>{}</p>", text.trim().replace("\n\n", "</p><p>")),
        text,
        attachments: Vec::new(),
    };
    compose(&header, &content).map_err(|error| chain(&error))
}
