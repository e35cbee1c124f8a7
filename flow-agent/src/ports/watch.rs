//! EDGE files: reports when one of a set of files may have changed.
//!
//! The directories are watched rather than the files, so that a file that is renamed over another is noticed. What
//! inotify does not report (on a network file system, or when a directory is replaced or a symlink is changed) is
//! noticed later, by looking.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

/// How often the files are also looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Writing a file causes several events, so a change is reported once there was none for this long, but see
/// [`AT_MOST`].
const QUIET: Duration = Duration::from_millis(50);

/// A change is reported after this long even if events continue.
const AT_MOST: Duration = Duration::from_secs(1);

/// A set of files, and whether they have changed.
pub struct Watch {
    /// `None` if the kernel provides no inotify; then the files are only looked at.
    inotify: Option<AsyncFd<Inotify>>,
    /// The names to be watched in each directory; `None` for all of them.
    names: Vec<(WatchDescriptor, Option<OsString>)>,
    seen: BTreeMap<PathBuf, Stamp>,
    look: Interval,
    /// The times of the first and the latest event that has not been reported yet.
    pending: Option<(Instant, Instant)>,
}

/// Values that change whenever the file does; `None` if there is no file that can be seen.
type Stamp = Option<[i64; 7]>;

impl Watch {
    /// Watches `files`, which need not exist. Must be called within a tokio runtime.
    pub fn new(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self::looking_every(files, LOOK_EVERY)
    }

    fn looking_every(files: impl IntoIterator<Item = PathBuf>, period: Duration) -> Self {
        let inotify = Inotify::init().and_then(|inotify| {
            // SAFETY: an `Inotify` owns its descriptor, never changes it, and closes it only when it is dropped, which
            // `AsyncFd` does after it has forgotten it.
            unsafe { AsyncFd::register(inotify) }.map_err(Into::into)
        });
        if let Err(error) = &inotify {
            tracing::warn!(%error, "no inotify: changes of files are noticed within {LOOK_EVERY:?}");
        }
        let mut look = interval_at(Instant::now() + period, period);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Self { inotify: inotify.ok(), names: Vec::new(), seen: BTreeMap::new(), look, pending: None };
        watch.set_files(files);
        watch
    }

    /// Watches `files` instead of the previous ones.
    pub fn set_files(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.seen = files.into_iter().map(|path| (path, None)).collect();
        self.arm();
    }

    /// Returns when one of the files may have been changed, replaced, created or deleted. Cancel-safe.
    pub async fn changed(&mut self) {
        loop {
            let told_at = self.pending.map(|(first, latest)| (latest + QUIET).min(first + AT_MOST));
            tokio::select! {
                () = until(told_at) => {
                    self.pending = None;
                    self.arm();
                    return;
                }
                () = readable(self.inotify.as_ref()) => self.take_events(),
                _ = self.look.tick() => {
                    let before = self.seen.clone();
                    self.arm();
                    if before != self.seen {
                        self.pending = None;
                        return;
                    }
                }
            }
        }
    }

    /// Watches the directories as they are now, and notes the present state of the files.
    fn arm(&mut self) {
        // The watch comes first: later changes are then reported, and earlier ones are in the noted state.
        if let Some(inotify) = &self.inotify {
            let mut watches = inotify.get_ref().watches();
            let mut names = Vec::new();
            for path in self.seen.keys() {
                // If the path is a symlink, its target is watched as well.
                for place in [Some(path.clone()), path.canonicalize().ok()].into_iter().flatten() {
                    let within = place.is_dir().then_some((place.as_path(), None));
                    let named = place.parent().zip(place.file_name().map(|name| Some(name.to_owned())));
                    for (directory, name) in within.into_iter().chain(named) {
                        match watches.add(directory, mask(name.as_deref())) {
                            Ok(descriptor) => names.push((descriptor, name)),
                            // Tried again at the next look.
                            Err(error) => tracing::debug!(%error, directory = %directory.display(), "cannot watch"),
                        }
                    }
                }
            }
            for (gone, _) in self.names.iter().filter(|(old, _)| names.iter().all(|(new, _)| new != old)) {
                if let Err(error) = watches.remove(gone.clone()) {
                    tracing::debug!(%error, "the watch was lost with its directory");
                }
            }
            self.names = names;
        }
        for (path, seen) in &mut self.seen {
            *seen = stamp(path);
        }
    }

    /// Takes the pending events, and notes whether any of them is about one of the files.
    fn take_events(&mut self) {
        let Some(inotify) = &mut self.inotify else { return };
        let mut buffer = [0; 4096];
        loop {
            match inotify.get_mut().read_events(&mut buffer) {
                Ok(events) => {
                    for event in events {
                        // An overflow, or an event about the directory itself, affects every name.
                        let ours = event.name.is_none_or(|name| {
                            let is_ours = |ours: &Option<OsString>| ours.as_ref().is_none_or(|ours| ours == name);
                            self.names.iter().any(|(watch, ours)| *watch == event.wd && is_ours(ours))
                        });
                        // Only databases are written without ever being closed. For other files, only the end of
                        // writing counts.
                        let is_partial =
                            event.mask.contains(EventMask::MODIFY) && !event.name.is_some_and(is_of_database);
                        if ours && !is_partial && !event.mask.contains(EventMask::IGNORED) {
                            let now = Instant::now();
                            self.pending = Some((self.pending.map_or(now, |(first, _)| first), now));
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::warn!(%error, "inotify failed: changes of files are noticed within {LOOK_EVERY:?}");
                    self.inotify = None;
                    return;
                }
            }
        }
    }
}

/// The events to watch for in the directory of `name`, in addition to those for other names there. For ordinary files
/// the end of writing is enough, so that a log growing beside one does not wake the agent.
fn mask(name: Option<&OsStr>) -> WatchMask {
    let written = if name.is_some_and(is_of_database) { WatchMask::MODIFY } else { WatchMask::empty() };
    written
        | WatchMask::MASK_ADD
        | WatchMask::CLOSE_WRITE
        | WatchMask::MOVE
        | WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::ATTRIB
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR
}

/// Whether it is a file that SQLite writes beside a database and keeps open.
fn is_of_database(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.ends_with(b"-wal") || name.ends_with(b"-journal")
}

/// The stamp of a file. For a folder, the stamps of its files are combined into one.
fn stamp(path: &Path) -> Stamp {
    let mut stamp = stamp_of_file(path)?;
    if path.is_dir() {
        let mut entries: Vec<_> =
            std::fs::read_dir(path).ok()?.filter_map(Result::ok).map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries.iter().filter_map(|entry| stamp_of_file(entry)) {
            for (folded, number) in stamp.iter_mut().zip(entry) {
                *folded = folded.wrapping_mul(31).wrapping_add(number);
            }
        }
    }
    Some(stamp)
}

fn stamp_of_file(path: &Path) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    // The change time is also updated when a file becomes readable.
    let (dev, ino, size) = (file.dev().cast_signed(), file.ino().cast_signed(), file.size().cast_signed());
    Some([dev, ino, size, file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()])
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn readable(inotify: Option<&AsyncFd<Inotify>>) {
    let Some(inotify) = inotify else { return std::future::pending().await };
    match inotify.readable().await {
        // The events were read until there were none, so the next wait is for new ones.
        Ok(mut guard) => guard.clear_ready(),
        // The runtime is shutting down.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
