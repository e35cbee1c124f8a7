//! Why a channel cannot be used. The messages contain no address and no secret.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("failed to read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{}` is readable by everybody", path.display())]
    Exposed { path: PathBuf },
    #[error("`{}` contains no address", path.display())]
    NoAddress { path: PathBuf },
    #[error("the address in `{}` is neither https:// nor http:// to this machine", path.display())]
    NotSecure { path: PathBuf },
    #[error("`{}` is empty", path.display())]
    NoSecret { path: PathBuf },
    #[error("the template `{}` cannot be used", path.display())]
    Template {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the template `{}` cannot be used for a notice in which fields are `null`", path.display())]
    TemplateOfNulls {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
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

impl ChannelError {
    /// What a person can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("check the name, and that flow-agent may read the file".to_owned()),
            Self::Exposed { path } => Some(format!("chmod o-rwx {}", path.display())),
            Self::NoAddress { .. } => Some("write the address, starting with https://, on its first line".to_owned()),
            Self::NotSecure { .. } => {
                Some("use https://: anyone who sees the address in transit can use it".to_owned())
            }
            Self::NoSecret { .. } => Some("write the secret that the receiver knows on its first line".to_owned()),
            Self::Template { .. } => {
                Some("docs/notices.md lists what a template may use; its output must be JSON".to_owned())
            }
            Self::TemplateOfNulls { .. } => Some(
                "`level`, `user`, `node`, `day` and the figures do not apply to every notice; test for `none` before \
                 computing with them"
                    .to_owned(),
            ),
            Self::CaFile { .. } => Some("`ca_file` names a file of certificates in PEM form".to_owned()),
            Self::NoCertificates => Some("install ca-certificates, or name a file in `ca_file`".to_owned()),
        }
    }
}
