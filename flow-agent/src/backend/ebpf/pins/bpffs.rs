//! EDGE files: bpffs and our directories in it, to which nobody else may have access.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use flow_common::gate::GATE_VERSION;
use flow_common::wire::LAYOUT_VERSION;
use rustix::fs::{FsWord, statfs};
use rustix::mount::{MountFlags, mount};

use super::layout::{CLSACT, GateName, LINKS, LinkName, MapSetName, Newer, ROOT, SEALED};
use super::object;
use crate::backend::BackendError;

/// The prefix of a set's directory while it is being removed.
const GONE: &str = "gone-";

/// The magic number of bpffs, from include/uapi/linux/magic.h.
const BPF_FS_MAGIC: FsWord = 0xcafe_4a11;

/// Mounts bpffs at `path`, accessible to root only, unless it is mounted already. The error says why that failed.
pub fn mount_bpffs(path: &Path) -> Result<(), BackendError> {
    if is_bpffs(path) {
        return Ok(());
    }
    let failed = |action, source| BackendError::Path { action, path: path.to_owned(), source };
    if !path.exists() {
        DirBuilder::new().mode(0o700).recursive(true).create(path).map_err(|source| failed("create", source))?;
    }
    mount("bpf", path, "bpf", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, c"mode=0700")
        .map_err(|error| failed("mount bpffs on", error.into()))
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.f_type == BPF_FS_MAGIC)
}

/// A pin or directory of ours, as it was when we made it or took it over.
#[derive(Clone, Debug)]
pub struct Pin {
    pub path: PathBuf,
    /// Device and inode numbers.
    file: (u64, u64),
}

impl Pin {
    /// Remembers what is at `path`.
    ///
    /// # Errors
    /// When there is nothing, or when it cannot be examined.
    pub fn at(path: PathBuf) -> Result<Self, BackendError> {
        let metadata = metadata(&path)?;
        Ok(Self { file: (metadata.dev(), metadata.ino()), path })
    }

    /// Pins `object` (a map or a link) at `path` and replaces whatever is there. Only we have access to the directory,
    /// so that can only be an older pin of the same object.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn make(object: BorrowedFd<'_>, path: PathBuf) -> Result<Self, BackendError> {
        remove(&path)?;
        object::pin(object, &path).map_err(|source| BackendError::Path {
            action: "pin",
            path: path.clone(),
            source,
        })?;
        Self::at(path)
    }

    /// Whether it is still there, and still the same file.
    pub fn is_intact(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.file)
    }
}

/// The pins of one instance.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

/// A set of counters found in the pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSet {
    pub name: MapSetName,
    pub path: PathBuf,
    /// Whether a bucket of this set has been sealed.
    pub sealed: bool,
}

/// The gate found in the pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundGate {
    pub name: GateName,
    pub path: PathBuf,
}

/// An attachment found in the pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLink {
    pub name: LinkName,
    pub path: PathBuf,
    /// Whether this is a pinned TCX link. Otherwise it is a directory that represents a filter.
    pub is_tcx: bool,
}

impl Pins {
    /// Opens the directories of `instance` and creates those that are missing.
    ///
    /// # Errors
    /// [`BackendError::Untrusted`] if one of them is a symlink, belongs to another user, or is accessible to others.
    pub fn open(bpffs: &Path, instance: &str) -> Result<Self, BackendError> {
        check_parent(bpffs)?;
        let top = bpffs.join(ROOT);
        let root = top.join(instance);
        for directory in [&top, &root, &root.join(LINKS), &root.join(CLSACT)] {
            ensure_directory(directory)?;
        }
        Ok(Self { root })
    }

    /// Opens the directories of `instance`, if there are any.
    ///
    /// # Errors
    /// Like [`Pins::open`].
    pub fn existing(bpffs: &Path, instance: &str) -> Result<Option<Self>, BackendError> {
        let top = bpffs.join(ROOT);
        let root = top.join(instance);
        if !is_bpffs(bpffs) || !exists(&root)? {
            return Ok(None);
        }
        check_parent(bpffs)?;
        check_directory(&top)?;
        check_directory(&root)?;
        Ok(Some(Self { root }))
    }

    /// All sets of this instance.
    ///
    /// # Errors
    /// [`BackendError::NewerLayout`] if a newer release made one; [`BackendError::Untrusted`] for entries that we did
    /// not make.
    pub fn sets(&self) -> Result<Vec<FoundSet>, BackendError> {
        let mut sets = Vec::new();
        for (entry, path) in entries(&self.root)? {
            if entry.starts_with(GONE) {
                continue;
            }
            match MapSetName::parse(&entry) {
                Some(Ok(name)) => {
                    check_directory(&path)?;
                    let sealed = exists(&path.join(SEALED))?;
                    sets.push(FoundSet { name, path, sealed });
                }
                Some(Err(Newer { layout })) => {
                    return Err(BackendError::NewerLayout { path, layout, known: LAYOUT_VERSION });
                }
                None if entry == LINKS || entry == CLSACT => {}
                None if matches!(GateName::parse(&entry), Some(Ok(_))) => {}
                None if let Some(Err(Newer { layout })) = GateName::parse(&entry) => {
                    return Err(BackendError::NewerLayout { path, layout, known: GATE_VERSION });
                }
                None => {
                    return Err(BackendError::Untrusted { path, why: "no release of flow-agent creates it".into() });
                }
            }
        }
        sets.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(sets)
    }

    /// The gate of this instance, if users are limited.
    ///
    /// # Errors
    /// When the directory cannot be read, or when the gate's directory is not safe to use.
    pub fn gate(&self) -> Result<Option<FoundGate>, BackendError> {
        for (entry, path) in entries(&self.root)? {
            if let Some(Ok(name)) = GateName::parse(&entry) {
                check_directory(&path)?;
                return Ok(Some(FoundGate { name, path }));
            }
        }
        Ok(None)
    }

    /// The directory of a gate's pins.
    pub fn gate_path(&self, name: &GateName) -> PathBuf {
        self.root.join(name.to_string())
    }

    /// Finishes removing sets whose removal a predecessor began and did not live to finish.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn end_removals(&self) -> Result<(), BackendError> {
        let gone = entries(&self.root)?.into_iter().filter(|(entry, _)| entry.starts_with(GONE));
        gone.into_iter().try_for_each(|(_, path)| remove_directory(&path))
    }

    /// All attachments of this instance.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn links(&self) -> Result<Vec<FoundLink>, BackendError> {
        self.links_where(|_| true)
    }

    /// The attachments of this instance whose names `wanted` accepts. Only those are examined, so that a search for
    /// each of a thousand devices does not examine all attachments a thousand times.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn links_where(&self, wanted: impl Fn(&LinkName) -> bool) -> Result<Vec<FoundLink>, BackendError> {
        let directory = self.root.join(LINKS);
        if !exists(&directory)? {
            return Ok(Vec::new());
        }
        let mut links = Vec::new();
        for (entry, path) in entries(&directory)? {
            let Some(name) = LinkName::parse(&entry).filter(&wanted) else { continue };
            let is_tcx = !metadata(&path)?.is_dir();
            links.push(FoundLink { name, path, is_tcx });
        }
        links.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(links)
    }

    /// The directory of a set's pins.
    pub fn set_path(&self, name: &MapSetName) -> PathBuf {
        self.root.join(name.to_string())
    }

    /// The path of an attachment's pin.
    pub fn link_path(&self, name: &LinkName) -> PathBuf {
        self.root.join(LINKS).join(name.to_string())
    }

    /// The directory that records that we made the qdisc of a device.
    pub fn clsact_path(&self, netns: u64, index: u32) -> PathBuf {
        self.root.join(CLSACT).join(format!("{netns}-{index}"))
    }

    /// The devices (network namespace, index) whose qdisc we made.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn own_qdiscs(&self) -> Result<Vec<(u64, u32)>, BackendError> {
        let directory = self.root.join(CLSACT);
        if !exists(&directory)? {
            return Ok(Vec::new());
        }
        let parse = |entry: &str| {
            let (netns, index) = entry.split_once('-')?;
            Some((netns.parse().ok()?, index.parse().ok()?))
        };
        Ok(entries(&directory)?.iter().filter_map(|(entry, _)| parse(entry)).collect())
    }

    /// Removes this instance's directories if they are empty.
    pub fn remove_if_empty(&self) {
        for directory in [self.root.join(LINKS), self.root.join(CLSACT), self.root.clone()] {
            if fs::remove_dir(&directory).is_err() {
                return;
            }
        }
        // This fails while other instances have directories there.
        if let Some(top) = self.root.parent()
            && fs::remove_dir(top).is_ok()
        {
            tracing::debug!(path = %top.display(), "removed");
        }
    }
}

/// All instances that have pins, including those of other users.
///
/// # Errors
/// When the directory cannot be read.
pub fn instances(bpffs: &Path) -> Result<Vec<String>, BackendError> {
    let top = bpffs.join(ROOT);
    if !is_bpffs(bpffs) || !exists(&top)? {
        return Ok(Vec::new());
    }
    Ok(entries(&top)?.into_iter().map(|(entry, _)| entry).collect())
}

/// Creates a directory that only we can access, or checks that an existing one is such a directory.
///
/// # Errors
/// [`BackendError::Untrusted`] if it exists and is a symlink, belongs to another user, or is accessible to others.
pub fn ensure_directory(path: &Path) -> Result<(), BackendError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_directory(path),
        Err(source) => Err(BackendError::Path { action: "create", path: path.to_owned(), source }),
    }
}

/// Removes a set's pins. If we die halfway, the remaining pins have a name that the next start does not take for a set.
///
/// # Errors
/// When the kernel refuses.
pub fn remove_set(path: &Path) -> Result<(), BackendError> {
    // Somebody may have removed it or unmounted bpffs.
    if !exists(path)? {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let gone = path.with_file_name(format!("{GONE}{name}"));
    fs::rename(path, &gone).map_err(|source| BackendError::Path {
        action: "move away",
        path: path.to_owned(),
        source,
    })?;
    remove_directory(&gone)
}

/// Removes one of our directories and the entries in it, which are one level deep.
fn remove_directory(path: &Path) -> Result<(), BackendError> {
    for (_, entry) in entries(path)? {
        remove(&entry)?;
    }
    remove(path)
}

/// Removes a pin or an empty directory. It is not an error if it is gone already.
///
/// # Errors
/// When the kernel refuses.
pub fn remove(path: &Path) -> Result<(), BackendError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BackendError::Path { action: "remove", path: path.to_owned(), source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether anything has this name, including a dangling symlink.
///
/// # Errors
/// When the path cannot be examined.
pub fn exists(path: &Path) -> Result<bool, BackendError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(BackendError::Path { action: "inspect", path: path.to_owned(), source }),
    }
}

/// Checks that others cannot move our entries away. They may make entries of their own beside ours.
fn check_parent(bpffs: &Path) -> Result<(), BackendError> {
    let mode = metadata(bpffs)?.mode();
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        let why = format!("its mode {:o} lets others replace its contents", mode & 0o7777);
        return Err(BackendError::Untrusted { path: bpffs.to_owned(), why });
    }
    Ok(())
}

fn check_directory(path: &Path) -> Result<(), BackendError> {
    let metadata = metadata(path)?;
    match distrust(&metadata, rustix::process::geteuid().as_raw()) {
        Some(why) => Err(BackendError::Untrusted { path: path.to_owned(), why }),
        None => Ok(()),
    }
}

fn distrust(metadata: &Metadata, own: u32) -> Option<String> {
    if metadata.is_symlink() {
        return Some("it is a symlink".into());
    }
    if !metadata.is_dir() {
        return Some("it is not a directory".into());
    }
    if metadata.uid() != own {
        return Some(format!("it belongs to user {}", metadata.uid()));
    }
    let bits = metadata.mode() & 0o7777;
    (bits & 0o077 != 0).then(|| format!("its mode {bits:o} gives others access"))
}

fn metadata(path: &Path) -> Result<Metadata, BackendError> {
    fs::symlink_metadata(path).map_err(|source| BackendError::Path { action: "inspect", path: path.to_owned(), source })
}

fn entries(path: &Path) -> Result<Vec<(String, PathBuf)>, BackendError> {
    let failed = |source| BackendError::Path { action: "list", path: path.to_owned(), source };
    fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| {
            entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).map_err(failed)
        })
        .collect()
}
