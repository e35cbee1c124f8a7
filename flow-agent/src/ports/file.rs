//! EDGE files, environment: reads a port file or a folder of them, completely or not at all, and within a time limit.
#![expect(clippy::disallowed_methods, reason = "edge: files and environment")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::thread;

use super::content::{MAX_BYTES, MAX_FILES, PortFileContent, Problem, TIME_LIMIT, content};
#[cfg(feature = "sqlite")]
use super::database;
use super::formats;
use super::{Listed, PortFile};

/// A port file that could not be read. Its last good list remains in use.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the port file `{}`", path.display())]
pub struct PortFileError {
    pub path: PathBuf,
    #[source]
    pub source: Problem,
}

/// Reads every port file on a separate thread, so that a network file system that hangs does not block for long.
#[derive(Default)]
pub struct Reader {
    /// Files that took too long and are still being read.
    slow: BTreeMap<PathBuf, Receiver<Result<PortFileContent, Problem>>>,
}

impl Reader {
    /// Reads `file` as it is now.
    ///
    /// # Errors
    /// When it cannot be read, is half written, is not of its format, or takes too long.
    pub fn read(&mut self, file: &PortFile) -> Result<PortFileContent, PortFileError> {
        let failed = |source| PortFileError { path: file.path.clone(), source };
        if let Some(slow) = self.slow.get(&file.path) {
            if matches!(slow.try_recv(), Err(TryRecvError::Empty)) {
                return Err(failed(Problem::TooSlow));
            }
            // By now its result is out of date.
            self.slow.remove(&file.path);
        }
        let (sender, receiver) = sync_channel(1);
        let (path, format) = (file.path.clone(), formats::of(file.format));
        let reading = move || {
            // Nobody receives it if it took too long.
            drop(sender.send(read(&path, format)));
        };
        thread::Builder::new().name("port-file".to_owned()).spawn(reading).map_err(|error| failed(error.into()))?;
        match receiver.recv_timeout(TIME_LIMIT) {
            Ok(outcome) => outcome.map_err(failed),
            Err(RecvTimeoutError::Timeout) => {
                self.slow.insert(file.path.clone(), receiver);
                Err(failed(Problem::TooSlow))
            }
            Err(RecvTimeoutError::Disconnected) => Err(failed(Problem::Panicked)),
        }
    }
}

fn read(path: &Path, format: &dyn formats::Format) -> Result<PortFileContent, Problem> {
    // Checked before opening, because opening a pipe waits for its writer.
    let metadata = std::fs::metadata(path)?;
    #[cfg(feature = "sqlite")]
    if let Some(tables) = format.tables().filter(|_| !metadata.is_dir()) {
        return database::read(path, tables);
    }
    if !metadata.is_dir() {
        let mut left = MAX_BYTES;
        let listed = format.parse_in(&content(path, &mut left)?, &environment)?;
        return Ok(PortFileContent { listed, modified_at: metadata.modified().ok() });
    }
    let expected = format.folder_extensions();
    if expected.is_empty() {
        return Err(Problem::Folder);
    }
    let files = files(path, expected)?;
    if files.is_empty() {
        return Err(Problem::EmptyFolder { expected });
    }
    let mut found = PortFileContent { listed: Listed::default(), modified_at: metadata.modified().ok() };
    let mut left = MAX_BYTES;
    for file in files {
        let listed = format.parse_in(&content(&file, &mut left)?, &environment);
        let modified_at = std::fs::metadata(&file).and_then(|metadata| metadata.modified()).ok();
        found.modified_at = found.modified_at.max(modified_at);
        found.listed.merge(listed.map_err(|source| Problem::Part { file, source })?);
    }
    Ok(found)
}

/// A variable of the agent's own environment. The unit of a server that gets its port this way can share its
/// EnvironmentFile with the agent's.
fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// The files in a folder whose names end in one of `endings`, sorted by name. The empty ending stands for names without
/// one.
fn files(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, Problem> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().map_or(Some(""), |ending| ending.to_str());
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && ending.is_some_and(|ending| endings.contains(&ending)) && std::fs::metadata(&path)?.is_file() {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(Problem::TooMany);
        }
    }
    files.sort();
    Ok(files)
}
