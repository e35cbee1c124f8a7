//! The package for Debian and Ubuntu, made with their own `dpkg-deb`.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Profile, Tree, ZSH, ZSH_OF_DEBIAN, install};
use crate::process::{command, output, root, run};

/// The control files in `flow-agent/packaging/deb`, with their modes.
pub(super) const CONTROL_FILES: &[(&str, u32)] =
    &[("control", 0o644), ("conffiles", 0o644), ("postinst", 0o755), ("prerm", 0o755), ("postrm", 0o755)];

/// Builds the package in the tree and returns its name. `None` if `dpkg-deb` is missing. The tree is changed for the
/// package.
pub(super) fn build(tree: &Tree) -> Result<Option<String>> {
    if !Path::new("/usr/bin/dpkg-deb").exists() {
        eprintln!("dpkg-deb is not installed: skipping the package for Debian and Ubuntu");
        return Ok(None);
    }
    install(&tree.path.join(ZSH), &tree.path.join(ZSH_OF_DEBIAN), 0o644)?;
    fs::remove_dir_all(tree.path.join(ZSH).parent().expect("it lies in a directory"))?;
    let architecture = output(&mut command("dpkg", ["--print-architecture"]))?;
    let architecture = architecture.trim();
    for (name, mode) in CONTROL_FILES {
        install(&root().join("flow-agent/packaging/deb").join(name), &tree.path.join("DEBIAN").join(name), *mode)?;
    }
    let maintainer = maintainer()?;
    let control = fs::read_to_string(tree.path.join("DEBIAN/control"))?;
    let control = control
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@ARCHITECTURE@", architecture)
        .replace("@MAINTAINER@", &maintainer)
        .replace("@DEPENDS@\n", &depends(tree.profile)?);
    fs::write(tree.path.join("DEBIAN/control"), control)?;
    changelog(tree, &maintainer)?;
    let package = format!("flow-agent_{}_{architecture}.deb", env!("CARGO_PKG_VERSION"));
    let mut dpkg_deb = command("dpkg-deb", ["--root-owner-group"]);
    if tree.profile == Profile::Debug {
        // Compressing its debug information would take minutes.
        dpkg_deb.arg("-Znone");
    } else {
        // Debian 11 cannot read the default compression of newer systems (zstd on Ubuntu).
        dpkg_deb.arg("-Zxz");
    }
    dpkg_deb.arg("--build").arg(&tree.path).arg(&package).env("SOURCE_DATE_EPOCH", &tree.time);
    run(dpkg_deb.current_dir(&tree.out))?;
    Ok(Some(package))
}

/// The dependencies. A release needs no library. A debug build needs at least the version of the C library that it was
/// linked with, because an older one may lack symbols.
fn depends(profile: Profile) -> Result<String> {
    Ok(match profile {
        Profile::Release => String::new(),
        Profile::Debug => {
            let libc = output(&mut command("dpkg-query", ["-W", "-f=${source:Upstream-Version}", "libc6"]))?;
            format!("Depends: libc6 (>= {})\n", libc.trim())
        }
    })
}

/// The packager as `Name <address>`: from the variables of Debian's own tools, otherwise the author of the commit.
fn maintainer() -> Result<String> {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let (Some(name), Some(address)) = (of("DEBFULLNAME"), of("DEBEMAIL")) {
        return Ok(format!("{name} <{address}>"));
    }
    Ok(output(&mut command("git", ["log", "-1", "--format=%an <%ae>"]))?.trim().to_owned())
}

/// Writes Debian's changelog, which is that of the package. The program's own changelog is beside it.
fn changelog(tree: &Tree, maintainer: &str) -> Result<()> {
    let date = output(&mut command("date", ["--utc", "--rfc-email", &format!("--date=@{}", tree.time)]))?;
    let version = env!("CARGO_PKG_VERSION");
    let text = format!(
        "flow-agent ({version}) unstable; urgency=medium\n\n  * Version {version}; CHANGELOG.md beside this file says what has \
         changed.\n\n -- {maintainer}  {date}"
    );
    let path = tree.path.join("usr/share/doc/flow-agent/changelog");
    fs::write(&path, text)?;
    run(command("gzip", ["-9nf"]).arg(&path))
}
