//! EDGE sockets: answers questions to a running agent over HTTP, and asks such questions.
//!
//! It does not depend on counting: a [`Source`] makes the answers. Whatever a client does, it occupies at most one
//! connection for a few seconds.

pub mod client;
mod connection;
pub mod hooks;
mod server;
mod settings;
mod socket;

use std::future::Future;
use std::path::{Path, PathBuf};

use hyper::body::Bytes;

pub use server::{Listeners, serve};
pub use settings::{AnswerConfig, MetricsPorts};
pub use socket::{SocketError, UnixSocket, remove_stale};

/// The directory of the socket, unless the configuration names another path.
pub const DIRECTORY: &str = "/run/flow-agent";

/// The socket of the agent with this id.
pub fn default_socket(instance: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{instance}.sock"))
}

/// A question that an agent answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `/v1/now`
    Now,
    /// `/v1/health`
    Health,
    /// `/metrics`, as OpenMetrics text or, for older readers, in Prometheus' own text format.
    Metrics { open_metrics: bool },
}

/// An answer, which may be shared by several clients.
#[derive(Clone, Debug)]
pub struct Answer {
    /// An HTTP status.
    pub status: u16,
    pub content_type: &'static str,
    pub body: Bytes,
}

impl Answer {
    /// The content type of JSON.
    pub const JSON: &str = "application/json";

    /// The content types of `/metrics`.
    pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// An answer with a JSON object that says what is wrong.
    pub fn problem(status: u16, what: &str) -> Self {
        let body = serde_json::json!({ "v": 1, "error": what }).to_string() + "\n";
        Self { status, content_type: Self::JSON, body: body.into() }
    }
}

/// Makes the answers.
pub trait Source: Send + Sync + 'static {
    /// The answer to `question`. Cancel-safe.
    fn answer(&self, question: Question) -> impl Future<Output = Answer> + Send;
}
