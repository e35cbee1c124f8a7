//! Speaks SMTP with the mail server, using lettre's connection step by step.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

mod connect;
mod failure;
mod replies;
mod stream;
mod tls;
mod trust;

use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailParameter};

use super::compose::Letter;
use super::error::{Delivery, MailerError, Refusal, Scope};
use super::settings::{MailConfig, MailSecurity};
use super::{Mailer, reply};
use connect::Connector;
use failure::{Stop, completed, is_completed, limited};
use tls::Tls;

/// Time limits for the server.
#[derive(Clone, Copy, Debug)]
pub struct SmtpTiming {
    /// For each step before the letter.
    pub step: Duration,
    /// For its greeting. After that, a second connection checks whether the port expects TLS.
    pub greeting: Duration,
    /// For its answer to the letter.
    pub answer: Duration,
}

impl Default for SmtpTiming {
    fn default() -> Self {
        Self { step: Duration::from_secs(60), greeting: Duration::from_secs(3), answer: Duration::from_secs(300) }
    }
}

/// Hands letters to one mail server, over one connection for as long as it lasts.
pub struct SmtpMailer {
    connector: Connector,
    timing: SmtpTiming,
    connection: Option<AsyncSmtpConnection>,
    /// Recipients of the present offer that were refused although others were not.
    left_out: Vec<String>,
    /// Whether the server is ready for the letter.
    has_offered: bool,
}

impl SmtpMailer {
    /// Prepares everything except the connection.
    ///
    /// # Errors
    /// When the password cannot be read, or this system has no certificates to trust.
    pub fn new(config: &MailConfig, timing: SmtpTiming) -> Result<Self, MailerError> {
        let credentials = match (&config.username, &config.password_file) {
            (Some(username), Some(path)) => {
                let password = std::fs::read_to_string(path)
                    .map_err(|source| MailerError::Password { path: path.clone(), source })?;
                Some(Credentials::new(username.clone(), password.trim_end_matches(['\r', '\n']).to_owned()))
            }
            (None, _) | (_, None) => None,
        };
        let server = config.server.clone();
        let tls = match server.security {
            MailSecurity::Insecure => None,
            MailSecurity::Tls | MailSecurity::StartTls => Some(Tls::new(&server.host, config.ca_file.as_deref())?),
        };
        let connector = Connector { server, tls, credentials, timing };
        Ok(Self { connector, timing, connection: None, left_out: Vec::new(), has_offered: false })
    }

    /// Connects and logs in as it would for a letter, and disconnects.
    ///
    /// # Errors
    /// The step that failed, and why.
    pub async fn greet(&mut self) -> Result<(), Refusal> {
        self.connection = Some(self.connector.connect().await?);
        self.leave().await;
        Ok(())
    }

    /// Announces the sender and the recipients on a connection.
    async fn try_offer(&mut self, connection: &mut AsyncSmtpConnection, letter: &Letter) -> Result<(), Stop> {
        let step = self.timing.step;
        let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        let mut parameters = Vec::new();
        if !std::iter::once(&letter.from).chain(&letter.to).all(is_ascii) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let reply = "the server accepts only ASCII addresses (no SMTPUTF8)".to_owned();
                let refusal = Refusal { scope: Scope::Letter, is_transient: false, reply, help: None };
                return Err(Stop { refusal, is_connected: true });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let mail = Mail::new(Some(letter.from.clone()), parameters);
        completed(step, connection.command(mail)).await.map_err(|failure| failure.stop(Scope::Server, "sender"))?;
        self.left_out.clear();
        let mut refused = None;
        for address in &letter.to {
            let recipient = Rcpt::new(address.clone(), Vec::new());
            if let Err(failure) = completed(step, connection.command(recipient)).await {
                let stop = failure.stop(Scope::Letter, "");
                if !stop.is_connected {
                    return Err(stop);
                }
                self.left_out.push(format!("{}: {}", address.domain(), stop.refusal.reply));
                refused = Some(stop);
            }
        }
        if let Some(stop) = refused.filter(|_| self.left_out.len() == letter.to.len()) {
            return Err(stop);
        }
        match limited(step, connection.command(Data)).await {
            Ok(response) if response.has_code(354) => Ok(()),
            Ok(response) => {
                let reply = format!("DATA: {}", reply::of_response(&response));
                let refusal = Refusal { scope: Scope::Letter, is_transient: true, reply, help: None };
                Err(Stop { refusal, is_connected: false })
            }
            Err(failure) => Err(failure.stop(Scope::Letter, "")),
        }
    }

    /// Keeps a connection on which a letter was refused, if the server still responds.
    async fn reset(&mut self, mut connection: AsyncSmtpConnection) {
        if completed(self.timing.step, connection.command(Rset)).await.is_ok() {
            self.connection = Some(connection);
        }
    }
}

impl Mailer for SmtpMailer {
    async fn offer(&mut self, letter: &Letter) -> Result<(), Refusal> {
        let mut used = self.connection.take();
        loop {
            let is_used = used.is_some();
            let mut connection = match used.take() {
                Some(connection) => connection,
                None => self.connector.connect().await?,
            };
            match self.try_offer(&mut connection, letter).await {
                Ok(()) => {
                    self.connection = Some(connection);
                    self.has_offered = true;
                    return Ok(());
                }
                Err(stop) if stop.is_connected => {
                    self.reset(connection).await;
                    return Err(stop.refusal);
                }
                // The server may limit the number of letters per connection, so try a new one once.
                Err(stop) if is_used && stop.refusal.is_transient => {}
                Err(stop) => return Err(stop.refusal),
            }
        }
    }

    async fn deliver(&mut self, letter: &Letter) -> Delivery {
        let offered = std::mem::take(&mut self.has_offered);
        let Some(mut connection) = self.connection.take().filter(|_| offered) else {
            let reply = "nothing was offered".to_owned();
            return Delivery::Refused(Refusal { scope: Scope::Letter, is_transient: true, reply, help: None });
        };
        match limited(self.timing.answer, connection.message(&letter.bytes)).await {
            Ok(response) if is_completed(&response) => {
                self.connection = Some(connection);
                let left_out = std::mem::take(&mut self.left_out);
                let mut reply = reply::of_response(&response);
                for refused in &left_out {
                    reply = format!("{reply}; not to {refused}");
                }
                Delivery::Accepted { reply, left_out }
            }
            Ok(response) => Delivery::Unknown { why: reply::of_response(&response) },
            Err(failure) if failure.code().is_some() => {
                let stop = failure.stop(Scope::Letter, "");
                if stop.is_connected {
                    self.reset(connection).await;
                }
                Delivery::Refused(stop.refusal)
            }
            Err(failure) => Delivery::Unknown { why: format!("no answer to the letter: {}", failure.words()) },
        }
    }

    async fn leave(&mut self) {
        let is_offered = std::mem::take(&mut self.has_offered);
        // After an offer the server would take QUIT for the letter's text. If the connection just ends, it accepts
        // nothing.
        if let Some(mut connection) = self.connection.take().filter(|_| !is_offered)
            && let Err(failure) = limited(self.timing.step, connection.quit()).await
        {
            // QUIT is only a courtesy, because every letter has been answered.
            tracing::debug!(error = failure.words(), "the mail server did not end the session properly");
        }
    }
}
