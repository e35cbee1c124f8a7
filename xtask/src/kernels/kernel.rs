//! A Debian kernel with its modules, which is fetched only once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::apt::Apt;
use super::series::Series;
use crate::process::{command, run};

/// An unpacked kernel.
pub struct Kernel {
    /// The release as printed by `uname -r`.
    pub release: String,
    /// The bootable image.
    pub image: PathBuf,
    /// The directory `…/lib/modules/RELEASE`, indexed by depmod.
    pub modules: PathBuf,
}

/// The kernel of `series`. It is taken from `directory` if it was fetched before.
///
/// # Errors
/// When no suite has a kernel of the series any more, or it cannot be fetched.
pub fn fetch(series: &Series, directory: &Path) -> Result<Kernel> {
    let pinned = directory.join(series.package);
    if pinned.is_dir() {
        return unpacked(&pinned);
    }
    let apt = Apt::update(directory.join("apt"), series.suites)?;
    let published = apt.names("linux-image-")?;
    let Some(package) = series.choose(published.lines()) else {
        bail!("no kernel {} in {} any more", series.name, series.suites.join(", "));
    };
    if package != series.package {
        eprintln!("{} is gone; taking {package}, the newest of its series", series.package);
    }
    let kept = directory.join(&package);
    if kept.is_dir() {
        return unpacked(&kept);
    }
    let mut packages = apt.depends(&package)?;
    // Since 7.x the image's package is empty, and these packages have its former contents.
    packages.retain(|name| name.starts_with("linux-binary-") || name.starts_with("linux-modules-"));
    packages.push(package);
    let tree = tempfile::tempdir_in(directory)?;
    apt.unpack(&packages, tree.path())?;
    index_modules(tree.path())?;
    // Only a complete kernel gets the name under which it is searched for.
    fs::rename(tree.keep(), &kept)?;
    unpacked(&kept)
}

fn unpacked(tree: &Path) -> Result<Kernel> {
    let (modules, release) = modules(tree)?;
    let places = [tree.join("boot").join(format!("vmlinuz-{release}")), modules.join("vmlinuz")];
    let image = places.into_iter().find(|place| place.is_file());
    let image = image.with_context(|| format!("no vmlinuz of {release} in {}", tree.display()))?;
    Ok(Kernel { release, image, modules })
}

/// The only directory of modules in `tree`, and its name.
fn modules(tree: &Path) -> Result<(PathBuf, String)> {
    for place in ["lib/modules", "usr/lib/modules"] {
        let Ok(mut entries) = fs::read_dir(tree.join(place)) else { continue };
        if let Some(entry) = entries.next() {
            let entry = entry?;
            return Ok((entry.path(), entry.file_name().to_string_lossy().into_owned()));
        }
    }
    bail!("no kernel modules in {}", tree.display())
}

/// Writes `modules.dep` and the aliases by which the kernel requests modules.
fn index_modules(tree: &Path) -> Result<()> {
    let (modules, release) = modules(tree)?;
    // depmod only searches `lib/modules`.
    let base = modules.ancestors().nth(3).expect("the modules lie in lib/modules of a directory");
    run(command("depmod", ["-b"]).arg(base).arg(release))
}
