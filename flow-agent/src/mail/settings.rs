//! The section of the configuration about the mail server.

use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq)]
pub struct MailConfig {
    pub server: MailServer,
    pub username: Option<String>,
    pub password_file: Option<PathBuf>,
    /// A PEM file with certificates to be trusted in addition to those of this system.
    pub ca_file: Option<PathBuf>,
    /// `Name <address>` or an address.
    pub from: String,
    pub admins: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    pub host: String,
    pub port: u16,
    pub security: MailSecurity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// `smtps://`: TLS from the first byte.
    Tls,
    /// `smtp://`: STARTTLS, required.
    StartTls,
    /// `smtp+insecure://`: without encryption, on loopback only.
    Insecure,
}
