//! The initial root file system of a kernel: an archive that its boot loader passes to it (cpio, format "newc").

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{command, output};

/// An entry at a path in the guest.
enum Entry {
    Directory,
    /// A copy of this file from the host.
    Copy(PathBuf),
    Text(String),
    Symlink(PathBuf),
}

/// A tree of files, by absolute path in the guest.
#[derive(Default)]
pub struct Image(BTreeMap<PathBuf, Entry>);

impl Image {
    /// An empty tree with `/bin`, `/sbin` and `/lib*` merged into `/usr`, as on every Debian since 12.
    pub fn merged_usr() -> Self {
        let mut image = Self::default();
        for name in ["bin", "lib", "lib64", "sbin"] {
            let usr = Path::new("/usr").join(name);
            image.directory(&usr);
            image.insert(Path::new("/").join(name), Entry::Symlink(usr));
        }
        image
    }

    /// Adds an empty directory.
    pub fn directory(&mut self, path: &Path) {
        self.insert(path.to_owned(), Entry::Directory);
    }

    /// Adds an executable file with this text.
    pub fn text(&mut self, path: &Path, text: impl Into<String>) {
        self.insert(path.to_owned(), Entry::Text(text.into()));
    }

    /// Adds a copy of the host's file `from` at `path`.
    pub fn copy(&mut self, from: &Path, path: &Path) {
        self.insert(path.to_owned(), Entry::Copy(from.to_owned()));
    }

    /// Adds a symbolic link at `path`.
    pub fn link(&mut self, path: &Path, target: &Path) {
        self.insert(path.to_owned(), Entry::Symlink(target.to_owned()));
    }

    /// Adds all files below the host's directory `from`, below `path`.
    ///
    /// # Errors
    /// When a directory cannot be listed.
    pub fn copy_tree(&mut self, from: &Path, path: &Path) -> Result<()> {
        for entry in fs::read_dir(from).with_context(|| format!("failed to list {}", from.display()))? {
            let entry = entry?;
            let (source, target) = (entry.path(), path.join(entry.file_name()));
            if entry.file_type()?.is_dir() {
                self.copy_tree(&source, &target)?;
            } else {
                self.copy(&source, &target);
            }
        }
        Ok(())
    }

    /// Adds the host's program `path` at the same path, with the symbolic links that lead to it and the libraries that
    /// it loads.
    ///
    /// # Errors
    /// When the program or a library is missing.
    pub fn program(&mut self, path: &Path) -> Result<()> {
        let mut place = in_usr(path);
        while let Ok(target) = fs::read_link(&place) {
            let target = in_usr(&place.parent().expect("a program lies in a directory").join(target));
            self.insert(place, Entry::Symlink(target.clone()));
            place = target;
        }
        if !place.is_file() {
            bail!("{} does not exist", place.display());
        }
        self.libraries_of(&place)?;
        self.copy(&place.clone(), &place);
        Ok(())
    }

    /// Adds the libraries that the host's file `program` loads, at their paths on the host.
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn libraries_of(&mut self, program: &Path) -> Result<()> {
        for library in libraries(program)? {
            self.copy(&library, &in_usr(&library));
        }
        Ok(())
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// When a file cannot be read, or when the archive cannot be written.
    pub fn write(&self, to: &mut impl Write) -> Result<()> {
        for (number, (path, entry)) in self.0.iter().enumerate() {
            let name = path.strip_prefix("/").expect("paths of the guest are absolute").as_os_str().as_bytes();
            let (mode, content) = match entry {
                Entry::Directory => (0o040_755, Vec::new()),
                Entry::Text(text) => (0o100_755, text.as_bytes().to_vec()),
                Entry::Symlink(target) => (0o120_777, target.as_os_str().as_bytes().to_vec()),
                Entry::Copy(from) => {
                    let content = fs::read(from).with_context(|| format!("failed to read {}", from.display()))?;
                    (0o100_000 | fs::metadata(from)?.permissions().mode() & 0o777, content)
                }
            };
            member(to, number + 1, mode, name, &content)?;
        }
        member(to, 0, 0, b"TRAILER!!!", &[])?;
        Ok(())
    }

    fn insert(&mut self, path: PathBuf, entry: Entry) {
        for parent in path.ancestors().skip(1).filter(|parent| *parent != Path::new("/")) {
            self.0.entry(parent.to_owned()).or_insert(Entry::Directory);
        }
        self.0.insert(path, entry);
    }
}

/// Resolves the directory of a path: `/sbin/ip` becomes `/usr/sbin/ip`, and `/usr/sbin/../lib` becomes `/usr/lib`.
fn in_usr(path: &Path) -> PathBuf {
    let directory = path.parent().map(|parent| parent.canonicalize().unwrap_or_else(|_| parent.to_owned()));
    directory.unwrap_or_default().join(path.file_name().unwrap_or_default())
}

/// The libraries that the dynamic loader would load for `program`. Empty for a static program.
fn libraries(program: &Path) -> Result<BTreeSet<PathBuf>> {
    // ldd fails on files that are not dynamically linked.
    let Ok(listed) = output(command("ldd", [program]).stderr(std::process::Stdio::null())) else {
        return Ok(BTreeSet::new());
    };
    let mut libraries = BTreeSet::new();
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [name, "=>", "not", "found"] => bail!("{} needs {name}, which does not exist", program.display()),
            [_, "=>", path, ..] | [path, ..] if path.starts_with('/') => {
                libraries.insert(path.into());
            }
            _ => {}
        }
    }
    Ok(libraries)
}

/// Writes one member of the archive: its header in hexadecimal, its name and its content, each padded to four bytes.
fn member(to: &mut impl Write, inode: usize, mode: u32, name: &[u8], content: &[u8]) -> io::Result<()> {
    write!(to, "070701{inode:08X}{mode:08X}")?;
    let (owner, group, links, changed_at, device) = (0, 0, 1, 0, 0);
    write!(to, "{owner:08X}{group:08X}{links:08X}{changed_at:08X}")?;
    let size = u32::try_from(content.len()).map_err(io::Error::other)?;
    write!(to, "{size:08X}{device:08X}{device:08X}{device:08X}{device:08X}")?;
    write!(to, "{:08X}{:08X}", name.len() + 1, 0)?;
    to.write_all(name)?;
    // The name ends with a zero byte, and 110 bytes of header come before it.
    let padding = 1 + (4 - (110 + name.len() + 1) % 4) % 4;
    to.write_all(&[0; 4][..padding])?;
    to.write_all(content)?;
    to.write_all(&[0; 4][..(4 - content.len() % 4) % 4])
}

#[cfg(test)]
mod tests;
