//! EDGE files, environment: reads a port file or a folder of them, whole or not at all, and within a time limit.
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

/// A port file that could not be read. Its last good list stays in use.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the port file `{}`", path.display())]
pub struct PortFileError {
    pub path: PathBuf,
    #[source]
    pub source: Problem,
}

/// Reads port files, each in a thread of its own: a network file system that hangs holds up nothing for long.
#[derive(Default)]
pub struct Reader {
    /// Those that took too long, and still do.
    slow: BTreeMap<PathBuf, Receiver<Result<PortFileContent, Problem>>>,
}

impl Reader {
    /// What `file` says now.
    ///
    /// # Errors
    /// When it cannot be read, is half written, is not of its format, or takes too long.
    pub fn read(&mut self, file: &PortFile) -> Result<PortFileContent, PortFileError> {
        let failed = |source| PortFileError { path: file.path.clone(), source };
        if let Some(slow) = self.slow.get(&file.path) {
            if matches!(slow.try_recv(), Err(TryRecvError::Empty)) {
                return Err(failed(Problem::TooSlow));
            }
            // What it said is old by now.
            self.slow.remove(&file.path);
        }
        let (sender, receiver) = sync_channel(1);
        let (path, format) = (file.path.clone(), formats::of(file.format));
        let reading = move || {
            // Nobody waits any more where it took too long.
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
    // Looked at before it is opened: opening a pipe waits for its writer.
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

/// What the agent's own environment says; the unit of a server that is told its port there can share an EnvironmentFile.
fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// The files of a folder that end in one of `endings`, by name.
fn files(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, Problem> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
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
