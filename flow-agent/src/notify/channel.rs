//! A channel: an address that receives messages, and the outcome of sending them.

use std::io::{self, ErrorKind};
use std::time::Duration;

use ring::hmac;
use tokio_rustls::rustls;
use ureq::http::Response;
use ureq::{Agent, Body, Timeout};

use super::body::{self, is_accepted};
use super::error::ChannelError;
use super::secret::{self, Address};
use super::settings::{ChannelConfig, ChannelKind};
use super::{Message, tls};
use crate::errors::chain;

/// How long a request may take, from resolving the name to the end of the answer.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// How long resolving the name may take, and how long connecting may.
const CONNECT: Duration = Duration::from_secs(4);

/// The longest answer that is read, in bytes.
const MOST_ANSWER_BYTES: u64 = 16 << 10;

/// A channel, ready to send.
pub struct Channel {
    name: String,
    kind: ChannelKind,
    address: Address,
    agent: Agent,
    key: Option<hmac::Key>,
    template: Option<String>,
}

/// The outcome of sending a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The receiver accepted it.
    Accepted { reply: String },
    /// The receiver certainly did not accept it.
    Refused { reply: String, is_reached: bool },
    /// The receiver may have accepted it: there was no answer after it was sent.
    Unknown { why: String },
}

impl Channel {
    /// Reads the address, the secret, the template and the certificates, without connecting yet.
    ///
    /// # Errors
    /// When one of the files cannot be used.
    pub fn open(config: &ChannelConfig) -> Result<Self, ChannelError> {
        let address = Address::read(&config.url_file)?;
        let mut settings = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("flow-agent/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(DEADLINE))
            // A connection that is kept open could be closed just when the next message is sent, and its fate would be
            // unknown.
            .max_idle_connections(0);
        if address.is_tls() {
            settings = settings.https_only(true).tls_config(tls::config(config.ca_file.as_deref())?);
        } else {
            settings = settings.proxy(None);
        }
        let channel = Self {
            name: config.name.clone(),
            kind: config.kind,
            agent: settings.build().new_agent(),
            address,
            key: config.secret_file.as_deref().map(key).transpose()?,
            template: config.template.as_deref().map(|path| secret::read(path, false)).transpose()?,
        };
        if let (Some(path), Some(template)) = (&config.template, &channel.template) {
            // Otherwise a mistake would not be found before the first notice that matters.
            body::of_template(template, &sample())
                .map_err(|error| ChannelError::Template { path: path.clone(), source: error.into() })?;
            body::of_template(template, &sample_of_nulls())
                .map_err(|error| ChannelError::TemplateOfNulls { path: path.clone(), source: error.into() })?;
        }
        Ok(channel)
    }

    /// The channel's name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host to which it sends; the rest of the address is secret.
    pub fn host(&self) -> &str {
        self.address.host()
    }

    /// Sends a message and waits for the answer, at most for [`DEADLINE`]. `now` is in seconds since 1970.
    pub fn send(&self, message: &Message, now: i64) -> SendOutcome {
        let body = match &self.template {
            Some(template) => match body::of_template(template, message) {
                Ok(body) => body,
                Err(error) => {
                    return SendOutcome::Refused { reply: format!("the template: {error}"), is_reached: false };
                }
            },
            None => body::of(self.kind, message),
        };
        let mut request = self.agent.post(self.address.url()).content_type(body.content_type);
        for (name, value) in body.headers {
            request = request.header(name, value);
        }
        if self.kind == ChannelKind::Webhook {
            request = request.header("X-Flow-Agent-Notice", &message.id);
        }
        if let Some(key) = &self.key {
            request = request
                .header("X-Flow-Agent-Timestamp", now.to_string())
                .header("X-Flow-Agent-Signature", signature(key, now, &body.bytes));
        }
        match request.send(&body.bytes[..]) {
            Ok(response) => self.judge(response),
            Err(error) => self.failed(&error),
        }
    }

    fn judge(&self, mut response: Response<Body>) -> SendOutcome {
        let status = response.status();
        let answer = response.body_mut().with_config().limit(MOST_ANSWER_BYTES).read_to_vec();
        let is_whole = answer.is_ok();
        let answer = answer.unwrap_or_default();
        let words = self.address.redact(&String::from_utf8_lossy(&answer));
        let reply = [status.as_u16().to_string(), words].join(" ").trim().to_owned();
        if !status.is_success() {
            return SendOutcome::Refused { reply, is_reached: true };
        }
        match (is_accepted(self.kind, &answer), is_whole) {
            (true, _) => SendOutcome::Accepted { reply },
            (false, true) => SendOutcome::Refused { reply, is_reached: true },
            (false, false) => SendOutcome::Unknown { why: format!("{reply}, and the answer ended early") },
        }
    }

    /// The outcome of a failure, which depends on whether anything can have arrived.
    fn failed(&self, error: &ureq::Error) -> SendOutcome {
        let words = self.address.redact(&chain(error));
        let never_connected = match error {
            ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::Tls(_)
            | ureq::Error::Rustls(_)
            | ureq::Error::BadUri(_)
            | ureq::Error::Http(_)
            | ureq::Error::RequireHttpsOnly(_)
            | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => true,
            ureq::Error::Io(error) => {
                let is_refused = matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused
                        | ErrorKind::HostUnreachable
                        | ErrorKind::NetworkUnreachable
                        | ErrorKind::AddrNotAvailable
                        | ErrorKind::PermissionDenied
                );
                is_refused || is_not_trusted(error)
            }
            _ => false,
        };
        match never_connected {
            true => SendOutcome::Refused { reply: words, is_reached: false },
            false => SendOutcome::Unknown { why: format!("no answer: {words}") },
        }
    }
}

/// Whether the receiver's certificate was rejected, or no common cipher was found. Nothing is sent before that.
fn is_not_trusted(error: &io::Error) -> bool {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::PeerIncompatible(_)))
}

fn key(path: &std::path::Path) -> Result<hmac::Key, ChannelError> {
    let secret = secret::first_line(path)?;
    match secret.is_empty() {
        true => Err(ChannelError::NoSecret { path: path.to_owned() }),
        false => Ok(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())),
    }
}

/// `sha256=` and the HMAC-SHA256 of the time, a dot and the body, in hex. The time is included so that a recorded
/// request cannot be sent again later.
fn signature(key: &hmac::Key, now: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{now}.").as_bytes());
    context.update(body);
    let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// A message for trying templates out, in which every field has a value.
fn sample() -> Message {
    Message {
        id: "sample".to_owned(),
        event: "warn",
        level: Some(90),
        month: "2026-10".to_owned(),
        user: Some("user".to_owned()),
        node: Some("node".to_owned()),
        day: Some("2026-10-05".to_owned()),
        quota_bytes: Some(1),
        used_bytes: Some(1),
        left_bytes: Some(0),
        forecast_bytes: Some(1),
        title: "title".to_owned(),
        text: "text".to_owned(),
        sent_by: "node".to_owned(),
        at: "2026-10-05T13:00:00+08:00".to_owned(),
    }
}

/// A message for trying templates out, in which no field has a value that may be without one.
fn sample_of_nulls() -> Message {
    Message {
        level: None,
        user: None,
        node: None,
        day: None,
        quota_bytes: None,
        used_bytes: None,
        left_bytes: None,
        forecast_bytes: None,
        ..sample()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
