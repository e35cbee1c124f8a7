//! Why a request to ClickHouse failed.

use std::io;
use std::path::PathBuf;

use super::rows::InvalidBlock;

#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("failed to read the password in `{}`", path.display())]
    Password {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to read the certificates in `{}`", path.display())]
    CaFile {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("this system has no certificates to trust")]
    NoCertificates,
    /// It is not known what the server did with the request.
    #[error("failed to {action} at {url}")]
    Http {
        action: String,
        url: String,
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server answered that it did not do it.
    #[error("ClickHouse at {url} refused to {action}: {message}")]
    Refused {
        action: String,
        url: String,
        /// ClickHouse's own error number; `None` if the answer has none.
        code: Option<u32>,
        /// The first lines of its answer, safe to print.
        message: String,
    },
    /// The answer is not one that ClickHouse sends, such as a text after a successful insert.
    #[error("the answer of {url} to a request to {action} is not from ClickHouse: {found}")]
    Answer { action: String, url: String, found: String },
    /// The traffic of one of them would be billed to the other's users.
    #[error(
        "two machines send under this name at the same time (epochs {one:?} and {other:?}), so none of its days are used"
    )]
    TwoMachines { one: String, other: String },
    #[error("failed to compress rows")]
    Compress(#[source] io::Error),
    #[error(transparent)]
    Invalid(#[from] InvalidBlock),
}

/// ClickHouse's error numbers for a wrong name or password.
const AUTHENTICATION: [u32; 4] = [192, 193, 194, 516];
/// The number for a missing grant.
const ACCESS_DENIED: u32 = 497;
/// The numbers for a database or table that does not exist.
const UNKNOWN_TABLE: [u32; 2] = [60, 81];
/// The number for a row that violates a CHECK constraint of the table.
const VIOLATED_CONSTRAINT: u32 = 469;

impl FleetError {
    /// What a person can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Password { .. } => Some("check `fleet.password_file`".to_owned()),
            Self::CaFile { .. } => Some("`fleet.ca_file` names a file of certificates in PEM form".to_owned()),
            Self::NoCertificates => Some("install ca-certificates, or name a file in `fleet.ca_file`".to_owned()),
            Self::Http { source, .. } => Some(match **source {
                ureq::Error::Rustls(_) | ureq::Error::Tls(_) => {
                    "check that the host in `fleet.url` matches its certificate, and `fleet.ca_file`".to_owned()
                }
                _ => {
                    "check `fleet.url`, that ClickHouse is running there, and that no firewall is in between".to_owned()
                }
            }),
            Self::Refused { code: Some(code), .. } => match *code {
                code if AUTHENTICATION.contains(&code) => {
                    Some("check `fleet.user` and `fleet.password_file`".to_owned())
                }
                ACCESS_DENIED => Some("grant this user its role: see `flow-agent fleet init --print`".to_owned()),
                code if UNKNOWN_TABLE.contains(&code) => {
                    Some("run `flow-agent fleet init`, and check `fleet.database`".to_owned())
                }
                VIOLATED_CONSTRAINT => {
                    Some("a node's user may only write under that node's name: check `fleet.node`".to_owned())
                }
                _ => None,
            },
            Self::Refused { code: None, .. } | Self::Answer { .. } => Some(
                "check that `fleet.url` is the HTTP interface of ClickHouse (usually port 8443 or 8123)".to_owned(),
            ),
            Self::TwoMachines { .. } => Some(
                "give each machine its own `fleet.node`, and its own [[nodes]] entry instead of an alias; for this month, \
                 use `report --from scp`"
                    .to_owned(),
            ),
            Self::Compress(_) | Self::Invalid(_) => None,
        }
    }
}
