//! The stream that lettre uses: output is passed through unchanged, and input goes through [`Replies`].

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::replies::Replies;

/// How many bytes are read from the socket at a time.
const READ_BYTES: usize = 2_048;

/// A socket, or TLS over a socket, whose replies are made readable.
#[derive(Debug)]
pub(super) struct ReplyStream<S> {
    /// `None` only while this is dropped.
    stream: Option<S>,
    replies: Replies,
    peer: SocketAddr,
    /// Receives the stream when lettre drops it.
    owner: Option<oneshot::Sender<S>>,
}

impl<S> ReplyStream<S> {
    pub(super) fn new(stream: S, peer: SocketAddr) -> Self {
        Self { stream: Some(stream), replies: Replies::default(), peer, owner: None }
    }

    /// For a stream on which the server has already sent its greeting: after STARTTLS it sends nothing until it is
    /// asked, but lettre begins every connection by waiting for a greeting.
    pub(super) fn greeted(stream: S, peer: SocketAddr) -> Self {
        let mut greeted = Self::new(stream, peer);
        greeted.replies = Replies::beginning_with("220 encrypted\r\n");
        greeted
    }

    /// For a stream that is needed again: the receiver gets it when lettre drops the connection. Input that was not
    /// read by then is discarded, as RFC 3207 (section 5) requires of a client that begins TLS.
    pub(super) fn lent(stream: S, peer: SocketAddr) -> (Self, oneshot::Receiver<S>) {
        let (owner, returned) = oneshot::channel();
        let mut lent = Self::new(stream, peer);
        lent.owner = Some(owner);
        (lent, returned)
    }

    fn stream(&mut self) -> &mut S {
        self.stream.as_mut().expect("taken out by drop alone")
    }
}

impl<S> Drop for ReplyStream<S> {
    fn drop(&mut self) {
        if let (Some(owner), Some(stream)) = (self.owner.take(), self.stream.take()) {
            // The owner may have given up; then the stream is closed here.
            drop(owner.send(stream));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReplyStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.replies.peek().is_empty() {
            let mut raw = [0; READ_BYTES];
            let mut raw = ReadBuf::new(&mut raw);
            ready!(Pin::new(this.stream()).poll_read(cx, &mut raw))?;
            if raw.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.replies.push(raw.filled());
        }
        let readable = this.replies.peek();
        let bytes = readable.len().min(into.remaining());
        into.put_slice(&readable[..bytes]);
        this.replies.consume(bytes);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReplyStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().stream()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().stream()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().stream()).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for ReplyStream<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}
