//! What can become of a letter that is handed over.

use std::path::PathBuf;

/// Why there is no letter.
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
    #[error("the letter cannot be put together")]
    Message(#[source] lettre::error::Error),
}

/// Why no mail server can be spoken to.
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

/// A letter was not accepted, and that is certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub scope: Scope,
    /// Whether it may be otherwise in a moment.
    pub is_transient: bool,
    /// The server's words, or the error's, in one line and harmless to print.
    pub reply: String,
    /// What a person can do about it, where that can be told.
    pub help: Option<String>,
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All letters: no connection, no TLS, no login, not this sender.
    Server,
    /// This letter or its recipient.
    Letter,
}

/// What became of a letter that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The server took it; its words.
    Accepted { reply: String },
    /// It did not.
    Refused(Refusal),
    /// It may have; why nobody can tell.
    Unknown { why: String },
}
