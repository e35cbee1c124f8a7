//! What the failure of one SMTP step means for the letters.

use std::future::Future;
use std::io;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::{Response, Severity};
use tokio::time::timeout;

use super::tls;
use crate::mail::{Refusal, Scope, reply};

/// Why a letter cannot be offered on a connection.
pub(super) struct Stop {
    pub(super) refusal: Refusal,
    /// Whether the connection can still be used.
    pub(super) is_connected: bool,
}

/// Why a step failed.
pub(super) enum Failure {
    Smtp(Error),
    /// A reply that does not belong to this step: client and server no longer agree on where they are.
    OutOfPlace(Response),
    Connection(io::Error),
    Silence(Duration),
}

impl Failure {
    pub(super) fn stop(&self, scope: Scope, stage: &str) -> Stop {
        let words = self.words();
        let reply = if stage.is_empty() { words } else { format!("{stage}: {words}") };
        // Code 421 means that the server closes the connection.
        let is_connected = self.code().is_some_and(|code| code != 421);
        Stop { refusal: Refusal { scope, is_transient: self.is_transient(), reply, help: None }, is_connected }
    }

    pub(super) fn is_transient(&self) -> bool {
        match self {
            // A client error means that the server lacks a feature, which another attempt does not change.
            Self::Smtp(error) => !(error.is_permanent() || error.is_client()),
            Self::OutOfPlace(_) | Self::Silence(_) => true,
            // A handshake that fails because of the server's certificate or TLS versions will fail again.
            Self::Connection(error) => tls::fault(error).is_none(),
        }
    }

    /// The code with which the server refused; `None` if it did not reply.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Smtp(error) => error.status().map(u16::from),
            Self::OutOfPlace(_) | Self::Connection(_) | Self::Silence(_) => None,
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::Smtp(error) => reply::of_error(error),
            Self::OutOfPlace(response) => format!("unexpected reply ({})", reply::of_response(response)),
            Self::Connection(error) => {
                reply::in_one_line(&tls::fault(error).map_or_else(|| error.to_string(), tls::in_words))
            }
            Self::Silence(limit) => format!("no answer within {}", humantime::format_duration(*limit)),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Smtp(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

/// Gives up a step that takes longer than `limit`.
pub(super) async fn limited<T, E: Into<Failure>>(
    limit: Duration,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match timeout(limit, step).await {
        Ok(result) => result.map_err(Into::into),
        Err(_elapsed) => Err(Failure::Silence(limit)),
    }
}

/// Like [`limited`], for a step that must end with a code from 200 to 299: lettre also accepts 300 to 399.
pub(super) async fn completed<E: Into<Failure>>(
    limit: Duration,
    step: impl Future<Output = Result<Response, E>>,
) -> Result<Response, Failure> {
    let response = limited(limit, step).await?;
    if is_completed(&response) { Ok(response) } else { Err(Failure::OutOfPlace(response)) }
}

/// Whether the server replied that it has done what was asked.
pub(super) fn is_completed(response: &Response) -> bool {
    response.code().severity == Severity::PositiveCompletion
}
