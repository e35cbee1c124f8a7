//! The trusted certificates: those of this system's authorities, and those in `mail.ca_file`.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::mail::MailerError;

/// The trusted certificates.
#[derive(Debug)]
pub(super) struct Trust {
    /// How many of this system's certificates are trusted.
    pub(super) of_system: usize,
    pub(super) ca_file: Option<PathBuf>,
    roots: Arc<RootCertStore>,
    /// The certificates in `ca_file`.
    named: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// Reads this system's certificates, and those in `ca_file`.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate, or when there are no certificates at all.
    pub(super) fn load(ca_file: Option<&Path>) -> Result<Self, MailerError> {
        let mut roots = RootCertStore::empty();
        // Systems have some old certificates that rustls cannot parse; they are left out.
        let (of_system, _unreadable) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let named = ca_file.map(read).transpose()?.unwrap_or_default();
        for certificate in &named {
            roots.add(certificate.clone()).map_err(|error| MailerError::CaFile {
                path: ca_file.unwrap_or(Path::new("")).to_owned(),
                source: error.into(),
            })?;
        }
        if roots.is_empty() {
            return Err(MailerError::NoCertificates);
        }
        Ok(Self { of_system, ca_file: ca_file.map(Path::to_owned), roots: Arc::new(roots), named })
    }

    /// A verifier of server certificates against these.
    pub(super) fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        let of_authorities = WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::clone(provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Arc::new(Verifier { of_authorities, named: self.named.clone() }))
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, MailerError> {
    let failed = |source| MailerError::CaFile { path: path.to_owned(), source };
    let text = std::fs::read(path).map_err(|error| failed(error.into()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|error| failed(error.into()))?;
    if certificates.is_empty() {
        return Err(failed("it holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)".into()));
    }
    Ok(certificates)
}

/// Accepts certificates that an authority has signed, and exactly those that are in `ca_file`.
///
/// The latter is necessary for what `openssl req -x509` creates by default: a certificate that says it may sign others.
/// Webpki accepts such a certificate only as that of an authority, never as a server's own (`CaUsedAsEndEntity`), even
/// if it is trusted itself.
#[derive(Debug)]
struct Verifier {
    of_authorities: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.named.iter().any(|named| named == certificate) {
            verify_server_name(&ParsedCertificate::try_from(certificate)?, server)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.of_authorities.verify_server_cert(certificate, intermediates, server, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.of_authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.of_authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.of_authorities.supported_verify_schemes()
    }
}
