//! Receives what a program on this machine reports by POST, and tells it to proceed.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::Answer;

/// The time limit from accepting the connection to the last byte of the answer.
const WITHIN: Duration = Duration::from_secs(5);

/// The largest head and body of a request.
const MOST_HEAD_BYTES: usize = 8 << 10;
const MOST_BODY_BYTES: usize = 64 << 10;

/// How many connections are handled at a time; further ones wait.
const MOST_CONNECTIONS: usize = 64;

/// How long to wait if no connection can be accepted, because there may be no file descriptors left.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Processes the reports.
pub trait Hearer: Send + Sync + 'static {
    /// Returns the answer to the body of a request. Cancel-safe.
    fn hear(&self, body: Bytes) -> impl Future<Output = Answer> + Send;
}

/// Receives reports at `path` until it is dropped. Clients on other machines are rejected, wherever the listener
/// listens.
///
/// # Errors
/// When the listener cannot be registered with the event loop.
pub async fn hear<H: Hearer>(listener: std::net::TcpListener, path: &str, hearer: Arc<H>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (path, places) = (Arc::<str>::from(path), Arc::new(Semaphore::new(MOST_CONNECTIONS)));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        if !peer.ip().to_canonical().is_loopback() {
            continue;
        }
        let (path, hearer) = (Arc::clone(&path), Arc::clone(&hearer));
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let (path, hearer) = (Arc::clone(&path), Arc::clone(&hearer));
                async move { Ok::<_, Infallible>(respond(request, &path, hearer.as_ref()).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(WITHIN)
                .max_buf_size(MOST_HEAD_BYTES)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            match timeout(WITHIN, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "failed to answer a client"),
                Err(_) => tracing::debug!("a client took too long and was disconnected"),
            }
            drop(place);
        });
    }
}

async fn respond<H: Hearer>(request: Request<Incoming>, path: &str, hearer: &H) -> Response<Full<Bytes>> {
    let answer = if request.uri().path() != path {
        Answer::problem(404, "nothing is served at this path")
    } else if *request.method() != Method::POST {
        Answer::problem(405, "only POST is allowed")
    } else {
        match Limited::new(request.into_body(), MOST_BODY_BYTES).collect().await {
            Ok(body) => hearer.hear(body.to_bytes()).await,
            Err(_) => Answer::problem(413, "the request is truncated or longer than 64 KiB"),
        }
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    response
}
