//! Establishes a connection on which letters can be offered: connected, encrypted, greeted and logged in.

use std::io;
use std::net::SocketAddr;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::Starttls;
use lettre::transport::smtp::extension::ClientId;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use super::SmtpTiming;
use super::failure::{Failure, completed, limited};
use super::stream::ReplyStream;
use super::tls::{self, Tls};
use crate::mail::settings::{MailSecurity, MailServer};
use crate::mail::{Refusal, Scope};

/// The help for a login that the server refuses.
const LOGIN_HELP: &str = "check `mail.username` and the contents of `mail.password_file`; many providers require an \
                          app password instead of the one for their web page";

/// The help if no connection is established.
const CONNECT_HELP: &str = "check `mail.server`, its port (465 for smtps, 587 for smtp), and that the provider doesn't \
                            block outgoing mail";

/// How to connect to one server.
pub(super) struct Connector {
    pub(super) server: MailServer,
    /// `None` only for a server on this machine that is used without TLS.
    pub(super) tls: Option<Tls>,
    pub(super) credentials: Option<Credentials>,
    pub(super) timing: SmtpTiming,
}

impl Connector {
    pub(super) async fn connect(&self) -> Result<AsyncSmtpConnection, Refusal> {
        let hello = ClientId::default();
        let (stream, peer) = self
            .reach()
            .await
            .map_err(|failure| Refusal { help: Some(CONNECT_HELP.to_owned()), ..refused(&failure, "connect") })?;
        let mut connection = match (&self.tls, self.server.security) {
            (Some(tls), MailSecurity::Tls) => self.encrypted(tls, stream, peer, &hello).await?,
            (Some(tls), MailSecurity::StartTls) => self.starttls(tls, stream, peer, &hello).await?,
            (_, MailSecurity::Insecure) | (None, _) => self.greeting(ReplyStream::new(stream, peer), &hello).await?,
        };
        if let Some(credentials) = &self.credentials {
            let login = connection.auth(DEFAULT_MECHANISMS, credentials);
            completed(self.timing.step, login).await.map_err(|failure| Refusal {
                help: failure.code().map(|_| LOGIN_HELP.to_owned()),
                ..refused(&failure, "login")
            })?;
        }
        Ok(connection)
    }

    /// Connects to the first of the server's addresses that answers. The time limit is divided among the addresses.
    async fn reach(&self) -> Result<(TcpStream, SocketAddr), Failure> {
        let server = (self.server.host.as_str(), self.server.port);
        let addresses: Vec<SocketAddr> = limited(self.timing.step, lookup_host(server)).await?.collect();
        let share = self.timing.step / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut last = Failure::Connection(io::Error::other("this name has no address"));
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, address)),
                Ok(Err(error)) => last = error.into(),
                Err(_elapsed) => last = Failure::Silence(share),
            }
        }
        Err(last)
    }

    /// A connection with TLS from the first byte.
    async fn encrypted(
        &self,
        tls: &Tls,
        stream: TcpStream,
        peer: SocketAddr,
        hello: &ClientId,
    ) -> Result<AsyncSmtpConnection, Refusal> {
        let handshake = limited(self.timing.step, tls.handshake(stream)).await;
        let stream = handshake.map_err(|failure| of_handshake(tls, &failure, "TLS"))?;
        self.greeting(ReplyStream::new(stream, peer), hello).await
    }

    /// A connection that is unencrypted up to the server's reply to STARTTLS, and uses TLS from then on. lettre's own
    /// STARTTLS cannot be used, because it would pass the encrypted bytes through [`ReplyStream`].
    async fn starttls(
        &self,
        tls: &Tls,
        stream: TcpStream,
        peer: SocketAddr,
        hello: &ClientId,
    ) -> Result<AsyncSmtpConnection, Refusal> {
        let (stream, mut returned) = ReplyStream::lent(stream, peer);
        let mut connection = tokio::select! {
            greeted = self.greeting(stream, hello) => greeted?,
            refusal = self.waits_for_tls(tls, peer) => return Err(refusal),
        };
        if !connection.can_starttls() {
            return Err(Refusal {
                scope: Scope::Server,
                is_transient: false,
                reply: "STARTTLS: the server does not offer it, and nothing is sent unencrypted".to_owned(),
                help: Some("use smtps:// for a port with TLS from the first byte (usually 465)".to_owned()),
            });
        }
        let reply = completed(self.timing.step, connection.command(Starttls)).await;
        reply.map_err(|failure| refused(&failure, "STARTTLS"))?;
        drop(connection);
        let stream = returned.try_recv().expect("a dropped connection gives its stream back");
        let handshake = limited(self.timing.step, tls.handshake(stream)).await;
        let stream = handshake.map_err(|failure| of_handshake(tls, &failure, "STARTTLS"))?;
        self.greeting(ReplyStream::greeted(stream, peer), hello).await
    }

    /// If the server does not greet in time, checks on a second connection whether it expects TLS from the first byte,
    /// which does not disturb a server that is merely slow. Returns only if it does.
    async fn waits_for_tls(&self, tls: &Tls, peer: SocketAddr) -> Refusal {
        sleep(self.timing.greeting).await;
        if let Ok(stream) = TcpStream::connect(peer).await
            && tls.is_spoken_on(stream).await
        {
            return Refusal {
                scope: Scope::Server,
                is_transient: false,
                reply: "greeting: none, the server waits for TLS to begin".to_owned(),
                help: Some(format!("this port begins with TLS: smtps://{}:{}", self.server.host, self.server.port)),
            };
        }
        std::future::pending().await
    }

    /// Waits for the server's greeting, and says hello.
    async fn greeting<S>(&self, stream: ReplyStream<S>, hello: &ClientId) -> Result<AsyncSmtpConnection, Refusal>
    where
        ReplyStream<S>: lettre::transport::smtp::client::AsyncTokioStream,
        S: 'static,
    {
        let greeting = AsyncSmtpConnection::connect_with_transport(Box::new(stream), hello);
        limited(self.timing.step, greeting).await.map_err(|failure| refused(&failure, "greeting"))
    }
}

fn of_handshake(tls: &Tls, failure: &Failure, stage: &str) -> Refusal {
    let fault = match failure {
        Failure::Connection(error) => tls::fault(error),
        Failure::Smtp(_) | Failure::OutOfPlace(_) | Failure::Silence(_) => None,
    };
    Refusal { help: fault.and_then(|fault| tls.help(fault)), ..refused(failure, stage) }
}

/// What fails before the login is complete would fail for every letter.
fn refused(failure: &Failure, stage: &str) -> Refusal {
    failure.stop(Scope::Server, stage).refusal
}
