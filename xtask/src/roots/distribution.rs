//! The root file systems on which a release is tried.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::kernels::Apt;
use crate::process::{command, run};
use crate::systemd::rootfs;

/// With a minimal Debian: both kinds of iptables, so that the agent can count by them as well.
const INCLUDE: &str = "iptables,ipset";

/// Which Debian has the busybox.
const BUSYBOX_SUITE: &str = "bookworm";

const DEBIAN: [(&str, &str); 3] = [("debian-11", "bullseye"), ("debian-12", "bookworm"), ("debian-13", "trixie")];

/// A distribution, or what stands for one.
pub struct Distribution {
    pub name: String,
    source: Source,
}

enum Source {
    /// The suite.
    Debian(&'static str),
    /// Nothing but busybox, statically linked: no C library, no package manager, no bash.
    Busybox,
    /// Made by somebody else.
    Directory(PathBuf),
}

/// The distribution of that name, or the root file system in that directory.
///
/// # Errors
/// When there is neither.
pub fn named(name: &str) -> Result<Distribution> {
    let debian = DEBIAN.iter().find(|debian| debian.0 == name);
    let source = match (debian, name) {
        (Some((_, suite)), _) => Source::Debian(suite),
        (None, "busybox") => Source::Busybox,
        (None, path) if Path::new(path).join("bin").is_dir() => Source::Directory(fs::canonicalize(path)?),
        (None, _) => bail!("{name} is neither debian-11, debian-12, debian-13 or busybox, nor a root file system"),
    };
    Ok(Distribution { name: name.to_owned(), source })
}

impl Distribution {
    /// Its root file system, below `directory`; made when it is not there yet.
    ///
    /// # Errors
    /// When something cannot be fetched.
    pub fn base(&self, directory: &Path) -> Result<PathBuf> {
        let directory = directory.join(&self.name);
        match &self.source {
            Source::Debian(suite) => rootfs::base(suite, INCLUDE, &directory),
            Source::Busybox => busybox(&directory),
            Source::Directory(path) => Ok(path.clone()),
        }
    }
}

fn busybox(directory: &Path) -> Result<PathBuf> {
    let base = directory.join("base");
    if base.exists() {
        return Ok(base);
    }
    fs::create_dir_all(directory)?;
    let unfinished = tempfile::tempdir_in(directory)?;
    let (package, tree) = (unfinished.path().join("package"), unfinished.path().join("tree"));
    Apt::update(directory.join("apt"), &[BUSYBOX_SUITE])?.unpack(&["busybox-static".to_owned()], &package)?;
    for part in ["dev", "etc", "proc", "run", "sys", "tmp", "usr/bin", "usr/sbin", "var/lib", "var/log"] {
        fs::create_dir_all(tree.join(part))?;
    }
    // As Alpine has it since 3.22, and everybody else for longer.
    for name in ["bin", "sbin"] {
        symlink(Path::new("usr").join(name), tree.join(name))?;
    }
    let program = package.join("bin/busybox");
    fs::copy(&program, tree.join("bin/busybox")).with_context(|| format!("failed to copy {}", program.display()))?;
    run(command("chroot", [tree.as_os_str()]).args(["/bin/busybox", "--install", "-s"]))?;
    fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(tree.join("etc/group"), "root:x:0:\n")?;
    fs::rename(&tree, &base)?;
    Ok(base)
}
