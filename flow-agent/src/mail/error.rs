//! Why a letter was not accepted, and the outcome of one that was sent.

use std::path::PathBuf;

/// Why a letter could not be composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    #[error("{address:?} is not a mail address")]
    Address {
        address: String,
        #[source]
        source: lettre::address::AddressError,
    },
    #[error("no recipient")]
    NoRecipient,
    #[error("the letter could not be composed")]
    Message(#[source] lettre::error::Error),
}

/// Why the mail client could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    #[error("failed to read the password in `{}`", path.display())]
    Password {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to prepare TLS for `{host}`")]
    Tls {
        host: String,
        #[source]
        source: tokio_rustls::rustls::Error,
    },
    #[error("failed to read the certificates in `{}`", path.display())]
    CaFile {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("this system has no certificates to trust")]
    NoCertificates,
}

impl MailerError {
    /// What a person can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Password { .. } => Some("check `mail.password_file`".to_owned()),
            Self::CaFile { .. } => Some("`mail.ca_file` names a file of certificates in PEM form".to_owned()),
            Self::NoCertificates => Some("install ca-certificates, or name a file in `mail.ca_file`".to_owned()),
            Self::Tls { .. } => None,
        }
    }
}

/// A letter was certainly not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub scope: Scope,
    /// Whether another attempt may succeed.
    pub is_transient: bool,
    /// The server's reply or the error, on one line and safe to print.
    pub reply: String,
    /// What a person can do about it, if that is known.
    pub help: Option<String>,
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All letters: no connection, no TLS, no login, or the sender is refused.
    Server,
    /// This letter or its recipient.
    Letter,
}

/// The outcome of sending a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The server accepted it, with this reply. It goes to all recipients but those that were refused before, each as its
    /// domain and the server's reply.
    Accepted { reply: String, left_out: Vec<String> },
    /// The server refused it.
    Refused(Refusal),
    /// It is not known whether the server accepted it; `why` gives the reason.
    Unknown { why: String },
}
