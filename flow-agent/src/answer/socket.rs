//! The Unix socket. It never replaces a file that is not ours.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The group whose members may ask besides root: that of the gathering user, if it exists.
const GROUP: &str = "flow";

const GROUPS: &str = "/etc/group";

/// Readable and writable for its owner and its group.
const MODE: u32 = 0o660;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("`{path}` is {what}: it is left alone")]
    Foreign { path: PathBuf, what: &'static str },
    #[error("another process answers at `{path}`")]
    Taken { path: PathBuf },
    #[error("failed to {doing} `{path}`")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

/// The file of a socket, which is removed when this is dropped.
#[derive(Debug)]
pub struct UnixSocket {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl UnixSocket {
    /// Listens at `path`. A socket that a dead agent left there is replaced.
    ///
    /// # Errors
    /// [`SocketError`]; anything else at `path` is left alone.
    pub fn bind(path: &Path) -> Result<(Self, UnixListener), SocketError> {
        let failed = |doing| move |source| SocketError::Io { doing, path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            match DirBuilder::new().mode(0o755).create(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed("create the directory of")(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        remove_stale(path)?;
        let listener = UnixListener::bind(path).map_err(failed("listen on"))?;
        let socket = Self { path: path.to_owned(), identity: identity(path) };
        if let Some(group) = group_id() {
            // A sandbox may forbid this; then only root may ask.
            if let Err(error) = chown(path, None, Some(group)) {
                tracing::debug!(path = %path.display(), %error, "the group of the socket was not changed");
            }
        }
        fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed("set the mode of"))?;
        Ok((socket, listener))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // If a successor has replaced the file, it stays.
        if self.identity.is_some()
            && identity(&self.path) == self.identity
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "the socket's file was not removed");
        }
    }
}

/// Removes the socket of an agent that no longer runs. Returns whether there was one.
///
/// # Errors
/// [`SocketError`]; a socket that another process answers, and anything else at `path`, is left alone.
pub fn remove_stale(path: &Path) -> Result<bool, SocketError> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(SocketError::Io { doing: "inspect", path: path.to_owned(), source }),
        Ok(found) => found.file_type(),
    };
    if !found.is_socket() {
        let what = match () {
            () if found.is_symlink() => "a symbolic link",
            () if found.is_dir() => "a directory",
            () => "not a socket",
        };
        return Err(SocketError::Foreign { path: path.to_owned(), what });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| SocketError::Io {
                doing: "remove",
                path: path.to_owned(),
                source,
            })?;
            Ok(true)
        }
        // Another agent answers, or its queue is full.
        Ok(_) | Err(_) => Err(SocketError::Taken { path: path.to_owned() }),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// The number of the group [`GROUP`].
fn group_id() -> Option<u32> {
    let groups = fs::read_to_string(GROUPS).ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == GROUP).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests;
