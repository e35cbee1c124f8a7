//! Answers questions about the present state, on a separate thread.
//!
//! The counting thread is only asked for a reading, over a channel that holds few questions, and only when somebody
//! asks. The log is read here. Whatever happens on this thread, counting continues.

mod books;
mod document;
mod log_sums;
mod measured;
mod recent_days;
mod source;
mod standing;
mod turn;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use self::source::AgentSource;
use super::agent::Agent;
use super::asks::{self, Asks};
use super::supervisor::event_loop;
use crate::answer::{self, AnswerConfig, Listeners, UnixSocket};
use crate::clock;
use crate::errors::chain;

/// How long the counting thread waits for listeners to close, so that new ones can use the same address.
const CLOSED_WITHIN: Duration = Duration::from_millis(500);

/// Answers for as long as it exists, and keeps the socket's file for that time.
pub struct Answering {
    instance: String,
    source: Arc<AgentSource>,
    config: AnswerConfig,
    socket: Option<UnixSocket>,
    server: Option<Server>,
}

/// The thread that answers.
struct Server {
    stop: oneshot::Sender<()>,
    /// Disconnected once its listeners are closed.
    closed: mpsc::Receiver<()>,
}

impl Answering {
    /// Begins to answer where the configuration says so. If it cannot listen there, that is logged, and counting
    /// continues.
    pub fn start(agent: &Agent) -> (Self, Asks) {
        let (asking, asks) = asks::channel();
        let source = Arc::new(AgentSource::new(agent.config(), asking, clock::now()));
        let config = agent.config().answer.clone();
        let mut answering = Self { instance: agent.instance().to_owned(), source, config, socket: None, server: None };
        answering.listen();
        (answering, asks)
    }

    /// Moves the listeners to where `config` says.
    pub fn follow(&mut self, config: &AnswerConfig) {
        let is_elsewhere = (&config.socket, config.listen) != (&self.config.socket, self.config.listen);
        self.config = config.clone();
        if !is_elsewhere {
            return;
        }
        if let Some(Server { stop, closed }) = self.server.take() {
            drop(stop);
            // An error means that the thread has closed them, or that it is late and will do so.
            let _ = closed.recv_timeout(CLOSED_WITHIN);
        }
        self.socket = None;
        self.listen();
        tracing::info!(
            socket = ?self.config.socket_of(&self.instance),
            listen = ?self.config.listen,
            "now answering queries at the configured addresses"
        );
    }

    fn listen(&mut self) {
        let bound = self.config.socket_of(&self.instance).and_then(|path| match UnixSocket::bind(&path) {
            Ok(bound) => Some(bound),
            Err(error) => {
                tracing::warn!(
                    error = %chain(&error),
                    "no socket: `show` only reads the files, and `top` does not work"
                );
                None
            }
        });
        let (socket, unix) = bound.unzip();
        self.socket = socket;
        let tcp = self.config.listen.and_then(listener);
        if unix.is_some() || tcp.is_some() {
            self.server = serve(Listeners { unix, tcp }, Arc::clone(&self.source));
        }
    }
}

fn listener(address: SocketAddr) -> Option<TcpListener> {
    match TcpListener::bind(address) {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(%address, %error, "no metrics: failed to listen at the address of `metrics.listen`");
            None
        }
    }
}

fn serve(listeners: Listeners, source: Arc<AgentSource>) -> Option<Server> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (closing, closed) = mpsc::channel::<()>();
    let answering = move || {
        let served = event_loop().map(|event_loop| {
            event_loop.block_on(async move {
                let served = tokio::select! {
                    served = answer::serve(listeners, source) => served,
                    _ = stopped => Ok(()),
                };
                drop(closing);
                served
            })
        });
        match served {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "failed to answer queries"),
            Err(failure) => tracing::warn!("failed to answer queries\n{}", failure.render()),
        }
    };
    // It ends with the process, or when it is stopped.
    match thread::Builder::new().name("answer".to_owned()).spawn(answering) {
        Ok(_) => Some(Server { stop, closed }),
        Err(error) => {
            tracing::warn!(%error, "failed to start the thread for answers: queries are not answered");
            None
        }
    }
}
