//! Accepts connections, up to a limit.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::Source;
use super::connection::{self, Door, Room};

/// How many connections of one listener are handled at a time; further ones are closed at once.
const MOST_CONNECTIONS: usize = 64;

/// How long to wait if no connection can be accepted, because there may be no file descriptors left.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Where to answer.
#[derive(Debug, Default)]
pub struct Listeners {
    pub unix: Option<std::os::unix::net::UnixListener>,
    pub tcp: Option<std::net::TcpListener>,
}

/// Answers with what `source` returns, until it is dropped.
///
/// # Errors
/// When a listener cannot be registered with the event loop.
pub async fn serve<S: Source>(listeners: Listeners, source: Arc<S>) -> io::Result<()> {
    let room = Arc::new(Room::new(source));
    let Listeners { unix, tcp } = listeners;
    let unix = match unix {
        Some(listener) => {
            listener.set_nonblocking(true)?;
            Some(UnixListener::from_std(listener)?)
        }
        None => None,
    };
    let tcp = match tcp {
        Some(listener) => {
            listener.set_nonblocking(true)?;
            Some(TcpListener::from_std(listener)?)
        }
        None => None,
    };
    let local = async {
        if let Some(listener) = &unix {
            let next = async || listener.accept().await.map(|(stream, _)| TokioIo::new(stream));
            accept(next, Door::Local, &room).await;
        }
    };
    let remote = async {
        if let Some(listener) = &tcp {
            let next = async || listener.accept().await.map(|(stream, _)| TokioIo::new(stream));
            accept(next, Door::Network, &room).await;
        }
    };
    tokio::join!(local, remote);
    Ok(())
}

async fn accept<S, I, F>(next: impl Fn() -> F, door: Door, room: &Arc<Room<S>>)
where
    S: Source,
    I: Read + Write + Send + Unpin + 'static,
    F: Future<Output = io::Result<I>>,
{
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(stream) = next().await else {
            sleep(ACCEPT_AGAIN_AFTER).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let room = Arc::clone(room);
        tokio::spawn(async move {
            connection::answer(stream, door, room).await;
            drop(place);
        });
    }
}
