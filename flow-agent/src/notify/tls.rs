//! The trusted certificates: those of this system's authorities, and those in the channel's `ca_file`.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::error::ChannelError;

/// The TLS settings of a channel.
pub(super) fn config(ca_file: Option<&Path>) -> Result<TlsConfig, ChannelError> {
    // Systems have some old certificates that cannot be parsed; they are left out.
    let mut trusted = rustls_native_certs::load_native_certs().certs;
    if let Some(path) = ca_file {
        trusted.extend(read(path)?);
    }
    if trusted.is_empty() {
        return Err(ChannelError::NoCertificates);
    }
    let roots: Vec<_> = trusted.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    let provider = Arc::new(ring::default_provider());
    Ok(TlsConfig::builder().root_certs(RootCerts::from(roots)).unversioned_rustls_crypto_provider(provider).build())
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, ChannelError> {
    let failed = |source| ChannelError::CaFile { path: path.to_owned(), source };
    let text = std::fs::read(path).map_err(|error| failed(error.into()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|error| failed(error.into()))?;
    match certificates.is_empty() {
        true => Err(failed("it holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)".into())),
        false => Ok(certificates),
    }
}
