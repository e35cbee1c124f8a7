//! Handles one connection: one request and its answer, with limits on time and size.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioTimer;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Answer, Question, Source};

/// The time limit from accepting the connection to the last byte of the answer.
const WITHIN: Duration = Duration::from_secs(5);

/// The longest head of a request.
const MOST_HEAD_BYTES: usize = 8 << 10;

/// The limit on the memory of all answers until their clients have read them. A larger answer waits until it is alone.
const MOST_ANSWERS_KIB: u32 = 128 << 10;

/// How a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Over the Unix socket, whose mode decides who may ask.
    Local,
    /// Over TCP, where anybody who can reach the port may ask.
    Network,
}

/// What all connections share.
pub(super) struct Room<S> {
    source: Arc<S>,
    memory: Arc<Semaphore>,
}

impl<S: Source> Room<S> {
    pub(super) fn new(source: Arc<S>) -> Self {
        Self { source, memory: Arc::new(Semaphore::new(MOST_ANSWERS_KIB as usize)) }
    }
}

/// Answers one request. Whatever the client does, this ends within [`WITHIN`].
pub(super) async fn answer<S: Source>(
    stream: impl Read + Write + Send + Unpin + 'static,
    door: Door,
    room: Arc<Room<S>>,
) {
    // Held until the connection ends, because the answer is in memory until the client has read it.
    let held = Arc::new(std::sync::Mutex::new(None));
    let service = service_fn(|request: Request<Incoming>| {
        let (room, held) = (Arc::clone(&room), Arc::clone(&held));
        async move {
            let answer = respond(&request, door, room.source.as_ref()).await;
            let kib = u32::try_from(answer.body().len() >> 10).unwrap_or(u32::MAX).clamp(1, MOST_ANSWERS_KIB);
            let permit = Arc::clone(&room.memory).acquire_many_owned(kib).await.ok();
            if let Ok(mut held) = held.lock() {
                *held = permit;
            }
            Ok::<_, Infallible>(answer.map(Full::new))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(WITHIN)
        .max_buf_size(MOST_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(stream, service);
    match timeout(WITHIN, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "failed to answer a client"),
        Err(_) => tracing::debug!("a client took too long and was disconnected"),
    }
}

async fn respond<S: Source>(request: &Request<Incoming>, door: Door, source: &S) -> Response<Bytes> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = response(Answer::problem(405, "only GET and HEAD are allowed"));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let question = match (request.uri().path(), door) {
        ("/v1/now", Door::Local) => Question::Now,
        ("/v1/health", _) => Question::Health,
        ("/metrics", _) => {
            let accepted = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            let open_metrics = accepted.into_iter().any(|types| types.contains("application/openmetrics-text"));
            Question::Metrics { open_metrics }
        }
        (_, Door::Local) => return response(Answer::problem(404, "ask for /v1/now, /v1/health or /metrics")),
        (_, Door::Network) => return response(Answer::problem(404, "ask for /metrics or /v1/health")),
    };
    response(source.answer(question).await)
}

fn response(answer: Answer) -> Response<Bytes> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(answer.body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
