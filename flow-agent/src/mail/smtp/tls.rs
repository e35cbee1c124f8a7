//! TLS with the mail server: the handshake, and what its failure reveals about the server and the configuration.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error};

use super::trust::Trust;
use crate::mail::MailerError;

/// What is needed to begin TLS with one server.
pub(super) struct Tls {
    connector: TlsConnector,
    server: ServerName<'static>,
    trust: Trust,
}

impl Tls {
    /// Trusts this system's certificates, and those in `ca_file`.
    ///
    /// # Errors
    /// When the file cannot be used, there are no certificates, or `host` cannot be the name in a certificate.
    pub(super) fn new(host: &str, ca_file: Option<&Path>) -> Result<Self, MailerError> {
        let failed = |source| MailerError::Tls { host: host.to_owned(), source };
        let server =
            ServerName::try_from(host.to_owned()).map_err(|error| failed(Error::General(error.to_string())))?;
        let trust = Trust::load(ca_file)?;
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(trust.verifier(&provider).map_err(failed)?)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server, trust })
    }

    pub(super) async fn handshake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.server.clone(), stream).await
    }

    /// Whether the server speaks TLS on this stream, trusted or not.
    pub(super) async fn is_spoken_on(&self, stream: TcpStream) -> bool {
        match self.handshake(stream).await {
            Ok(_) => true,
            Err(error) => fault(&error).is_some_and(|fault| !matches!(fault, Error::InvalidMessage(_))),
        }
    }

    /// What a person can do about a handshake that failed.
    pub(super) fn help(&self, fault: &Error) -> Option<String> {
        match fault {
            Error::InvalidMessage(_) => {
                Some("this port begins without TLS: use smtp:// for STARTTLS (usually on port 587)".to_owned())
            }
            Error::InvalidCertificate(error) => Some(match error {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    "the host in `mail.server` must match its certificate".to_owned()
                }
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => {
                    "the server needs a new certificate, or this machine's clock is wrong".to_owned()
                }
                _ => format!(
                    "this machine trusts {}; to trust this server as well, put its certificate, or that of its \
                     authority, in a PEM file and name that file in `mail.ca_file`",
                    self.trusted()
                ),
            }),
            _ => None,
        }
    }

    fn trusted(&self) -> String {
        let of_system = match self.trust.of_system {
            0 => "no authority, because its system has no certificates (package ca-certificates)".to_owned(),
            number => format!("the {number} authorities of its system (package ca-certificates)"),
        };
        match &self.trust.ca_file {
            Some(path) => format!("{of_system} and the certificates in `{}`", path.display()),
            None => of_system,
        }
    }
}

/// The fault that rustls found; `None` if the connection ended or failed.
pub(super) fn fault(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// The fault that rustls found, reworded if its own message is only meaningful to programmers.
pub(super) fn in_words(fault: &Error) -> String {
    match fault {
        Error::InvalidMessage(_) => "what the server sends is not TLS".to_owned(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the server's certificate is not signed by any authority that this machine trusts".to_owned()
        }
        // rustls has no variant for this fault, and webpki's message is for programmers.
        Error::InvalidCertificate(error @ CertificateError::Other(_))
            if error.to_string().contains("CaUsedAsEndEntity") =>
        {
            "the server's certificate is self-signed, and this machine does not trust it".to_owned()
        }
        Error::InvalidCertificate(error) => format!("the server's certificate was rejected: {error}"),
        other => other.to_string(),
    }
}
