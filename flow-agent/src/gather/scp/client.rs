//! Decides which of OpenSSH's programs fetches over SFTP. scp uses SFTP since OpenSSH 9; its older protocol would let
//! the node choose which file is written.

use crate::gather::ssh;

/// The program that fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyProgram {
    Scp,
    /// `sftp -b`, for older versions.
    Sftp,
}

/// Asks the system's ssh for its version, and returns that as well, such as `OpenSSH_9.2p1`.
pub async fn client() -> (CopyProgram, String) {
    match ssh::run("ssh", &["-V".into()], None).await {
        Ok(ended) => {
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            let version = said.split([' ', ',']).next().unwrap_or_default().trim().to_owned();
            (of_version(&version), version)
        }
        // Every node that needs ssh will report that it is missing.
        Err(error) => {
            tracing::debug!(%error, "the version of ssh is not known");
            (CopyProgram::Scp, "ssh".to_owned())
        }
    }
}

/// `OpenSSH_8.4p1` is too old for scp. A version that cannot be parsed is assumed to be newer.
fn of_version(version: &str) -> CopyProgram {
    let number = version.strip_prefix("OpenSSH_").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    if number.is_some_and(|number| number < 9) { CopyProgram::Sftp } else { CopyProgram::Scp }
}

#[cfg(test)]
mod tests;
