//! Asks a running agent, for `show`, `top` and `check`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::ledger::now::{Health, Now};

/// How long an answer may take.
pub const WITHIN: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No agent runs, or it does not listen there.
    #[error("no agent answers at {place}")]
    Nobody { place: String },
    #[error("this user may not connect to {place}: run as root or as a member of the group `flow`")]
    Forbidden { place: String },
    #[error("the agent at {place} did not answer within {} seconds", WITHIN.as_secs())]
    TooLate { place: String },
    #[error("the agent at {place} answered with status {status}: {what}")]
    Refused { place: String, status: u16, what: String },
    #[error("failed to query the agent at {place}")]
    Io { place: String, source: io::Error },
    #[error("failed to query the agent at {place}")]
    Http { place: String, source: hyper::Error },
    #[error("unexpected answer from the agent at {place}")]
    Document { place: String, source: serde_json::Error },
}

/// Where an agent is asked.
#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    Socket(&'a Path),
    Tcp(SocketAddr),
}

/// What the agent with the socket `path` counts now.
///
/// # Errors
/// [`AskError`].
pub fn now(path: &Path) -> Result<Now, AskError> {
    let (status, body) = get(path, "/v1/now")?;
    let place = || Place::Socket(path).to_string();
    if status != 200 {
        let problem: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let what = problem.and_then(|problem| Some(problem.get("error")?.as_str()?.to_owned()));
        return Err(AskError::Refused { place: place(), status, what: what.unwrap_or_default() });
    }
    serde_json::from_slice(&body).map_err(|source| AskError::Document { place: place(), source })
}

/// The health of the agent with the socket `path`.
///
/// # Errors
/// [`AskError`].
pub fn health(path: &Path) -> Result<Health, AskError> {
    health_of(Place::Socket(path))
}

/// The health of the agent that listens at `address`.
///
/// # Errors
/// [`AskError`].
pub fn health_at(address: SocketAddr) -> Result<Health, AskError> {
    health_of(Place::Tcp(address))
}

fn health_of(place: Place<'_>) -> Result<Health, AskError> {
    let (_, body) = get_from(place, "/v1/health")?;
    serde_json::from_slice(&body).map_err(|source| AskError::Document { place: place.to_string(), source })
}

/// The status and the body of the answer to `GET target` at the socket `path`.
///
/// # Errors
/// [`AskError`].
pub fn get(path: &Path, target: &str) -> Result<(u16, Bytes), AskError> {
    get_from(Place::Socket(path), target)
}

fn get_from(place: Place<'_>, target: &str) -> Result<(u16, Bytes), AskError> {
    let io = |source| AskError::Io { place: place.to_string(), source };
    let event_loop = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io)?;
    event_loop.block_on(async {
        let answer = async {
            match place {
                Place::Socket(path) => ask(place, UnixStream::connect(path).await, target).await,
                Place::Tcp(address) => ask(place, TcpStream::connect(address).await, target).await,
            }
        };
        timeout(WITHIN, answer).await.unwrap_or_else(|_| Err(AskError::TooLate { place: place.to_string() }))
    })
}

async fn ask<S>(place: Place<'_>, connected: io::Result<S>, target: &str) -> Result<(u16, Bytes), AskError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let http = |source| AskError::Http { place: place.to_string(), source };
    let stream = connected.map_err(|source| {
        let place = place.to_string();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::Nobody { place },
            io::ErrorKind::PermissionDenied => AskError::Forbidden { place },
            _ => AskError::Io { place, source },
        }
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    let request = Request::get(target).header(HOST, "flow-agent").body(Empty::<Bytes>::new());
    let request = request.expect("a request for one of our own targets is valid");
    let answer = async {
        let response = sender.send_request(request).await.map_err(http)?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(http)?;
        Ok((status, body.to_bytes()))
    };
    // The connection must be driven while we wait for the answer; how it ends does not matter.
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "`{}`", path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
        }
    }
}
