//! Answers questions of now, on a thread of its own.
//!
//! The counting thread is only asked for a reading, over a channel that holds few questions, and only while somebody asks.
//! The log is read here. Whatever happens on this thread, counting goes on.

mod books;
mod document;
mod log_sums;
mod measured;
mod recent_days;
mod source;
mod turn;

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use self::source::AgentSource;
use super::agent::Agent;
use super::asks::{self, Asks};
use super::supervisor::event_loop;
use crate::answer::{self, Listeners, UnixSocket};
use crate::clock;
use crate::errors::chain;

/// Keeps the socket's file as long as the agent runs.
#[derive(Debug)]
pub struct Answering {
    _socket: Option<UnixSocket>,
}

/// Begins to answer where the configuration says so. What cannot be listened at is said; counting needs none of it.
pub fn start(agent: &Agent) -> (Answering, Asks) {
    let (asking, asks) = asks::channel();
    let config = agent.config();
    let bound = config.answer.socket_of(agent.instance()).and_then(|path| match UnixSocket::bind(&path) {
        Ok(bound) => Some(bound),
        Err(error) => {
            tracing::warn!(error = %chain(&error), "no socket: `show` and `top` read the files only");
            None
        }
    });
    let (socket, unix) = bound.unzip();
    let tcp = config.answer.listen.and_then(|address| match TcpListener::bind(address) {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(%address, %error, "no metrics: failed to listen at the address of `metrics.listen`");
            None
        }
    });
    if unix.is_some() || tcp.is_some() {
        let source = Arc::new(AgentSource::new(config.clone(), asking, clock::now()));
        let listeners = Listeners { unix, tcp };
        let answering = move || {
            let served = event_loop().map(|event_loop| event_loop.block_on(answer::serve(listeners, source)));
            match served {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "questions are not answered"),
                Err(failure) => tracing::warn!("questions are not answered\n{}", failure.render()),
            }
        };
        // It ends with the process.
        if let Err(error) = thread::Builder::new().name("answer".to_owned()).spawn(answering) {
            tracing::warn!(%error, "no thread for answers: nothing is answered");
        }
    }
    (Answering { _socket: socket }, asks)
}
