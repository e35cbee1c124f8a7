//! Asks a running agent, as `show`, `top` and `check` do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::ledger::now::{Health, Now};

/// How long an answer may take.
pub const WITHIN: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No agent runs, or it has no socket.
    #[error("nobody answers at `{path}`")]
    Nobody { path: PathBuf },
    #[error("`{path}` may not be asked by this user: be root, or a member of the group `flow`")]
    Forbidden { path: PathBuf },
    #[error("the agent at `{path}` did not answer within {} seconds", WITHIN.as_secs())]
    TooLate { path: PathBuf },
    #[error("the agent at `{path}` answered with status {status}: {what}")]
    Refused { path: PathBuf, status: u16, what: String },
    #[error("failed to ask the agent at `{path}`")]
    Io { path: PathBuf, source: io::Error },
    #[error("failed to ask the agent at `{path}`")]
    Http { path: PathBuf, source: hyper::Error },
    #[error("the agent at `{path}` answered with another document than expected")]
    Document { path: PathBuf, source: serde_json::Error },
}

/// What the agent with the socket `path` counts now.
///
/// # Errors
/// [`AskError`].
pub fn now(path: &Path) -> Result<Now, AskError> {
    let (status, body) = get(path, "/v1/now")?;
    if status != 200 {
        let what = serde_json::from_slice(&body).ok().and_then(|problem: serde_json::Value| {
            problem.get("error").and_then(|what| what.as_str().map(str::to_owned))
        });
        return Err(AskError::Refused { path: path.to_owned(), status, what: what.unwrap_or_default() });
    }
    serde_json::from_slice(&body).map_err(|source| AskError::Document { path: path.to_owned(), source })
}

/// How the agent with the socket `path` is.
///
/// # Errors
/// [`AskError`].
pub fn health(path: &Path) -> Result<Health, AskError> {
    let (_, body) = get(path, "/v1/health")?;
    serde_json::from_slice(&body).map_err(|source| AskError::Document { path: path.to_owned(), source })
}

/// The status and the body of the answer to `GET target`.
///
/// # Errors
/// [`AskError`].
pub fn get(path: &Path, target: &str) -> Result<(u16, Bytes), AskError> {
    let io = |source| AskError::Io { path: path.to_owned(), source };
    let event_loop = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io)?;
    event_loop.block_on(async {
        timeout(WITHIN, ask(path, target)).await.unwrap_or_else(|_| Err(AskError::TooLate { path: path.to_owned() }))
    })
}

async fn ask(path: &Path, target: &str) -> Result<(u16, Bytes), AskError> {
    let http = |source| AskError::Http { path: path.to_owned(), source };
    let stream = UnixStream::connect(path).await.map_err(|source| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::Nobody { path },
            io::ErrorKind::PermissionDenied => AskError::Forbidden { path },
            _ => AskError::Io { path, source },
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
    // The connection has to be driven while the answer is awaited; how it ends does not matter.
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}
