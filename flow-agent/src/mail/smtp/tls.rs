//! TLS to the mail server: whose certificates are trusted, and the handshake.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore};

use crate::mail::MailerError;

/// What is needed to begin TLS with one server.
pub(super) struct Tls {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl Tls {
    /// Trusts the certificates that this system trusts.
    ///
    /// # Errors
    /// When there are none, or no certificate could be for `host`.
    pub(super) fn new(host: &str) -> Result<Self, MailerError> {
        let failed = |source| MailerError::Tls { host: host.to_owned(), source };
        let server =
            ServerName::try_from(host.to_owned()).map_err(|error| failed(Error::General(error.to_string())))?;
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        // Systems have old certificates among theirs that rustls cannot read; the others are as good without them.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(MailerError::NoCertificates);
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server })
    }

    pub(super) async fn handshake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.server.clone(), stream).await
    }
}

/// What rustls found wrong; `None` when the connection ended or failed.
pub(super) fn fault(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}
