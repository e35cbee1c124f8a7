//! The trusted certificates: those of this system's authorities, and those in `fleet.ca_file`.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::path::Path;
use std::sync::Arc;

use rustls_native_certs::load_native_certs;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::error::FleetError;

/// The TLS settings for a server whose certificate comes from a trusted authority.
///
/// # Errors
/// When the file cannot be used, or there are no certificates at all.
pub(super) fn config(ca_file: Option<&Path>) -> Result<TlsConfig, FleetError> {
    // Systems have some old certificates that cannot be parsed; they are left out.
    let mut trusted = load_native_certs().certs;
    trusted.extend(ca_file.map(read).transpose()?.into_iter().flatten());
    if trusted.is_empty() {
        return Err(FleetError::NoCertificates);
    }
    let roots: Vec<Certificate<'static>> =
        trusted.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, FleetError> {
    let failed = |source| FleetError::CaFile { path: path.to_owned(), source };
    let text = std::fs::read(path).map_err(|error| failed(error.into()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|error| failed(error.into()))?;
    if certificates.is_empty() {
        return Err(failed("it holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)".into()));
    }
    Ok(certificates)
}
