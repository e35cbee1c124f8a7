//! The package for RPM systems (Fedora, RHEL and its relatives, openSUSE), made with their own `rpmbuild`.

use std::env::consts::ARCH;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Tree;
use crate::process::{command, output, root, run};

const SPEC: &str = "flow-agent/packaging/rpm/flow-agent.spec";

/// Builds the package and returns its name. `None` if `rpmbuild` is missing.
pub(super) fn build(tree: &Tree) -> Result<Option<String>> {
    if !Path::new("/usr/bin/rpmbuild").exists() {
        eprintln!("rpmbuild is not installed (package `rpm`): skipping the package for RPM systems");
        return Ok(None);
    }
    let build = tree.out.join("rpm");
    super::remove(&[&build])?;
    fs::create_dir_all(&build)?;
    let spec = build.join("flow-agent.spec");
    let text = fs::read_to_string(root().join(SPEC))?;
    fs::write(&spec, text.replace("@VERSION@", env!("CARGO_PKG_VERSION")).replace("@FILES@", &files(&tree.path)?))?;
    let define = |name: &str, value: &str| ["--define".to_owned(), format!("{name} {value}")];
    let mut rpmbuild = command("rpmbuild", ["-bb", "--quiet", "--target", &format!("{ARCH}-linux")]);
    rpmbuild.args(define("_topdir", &build.display().to_string()));
    rpmbuild.args(define("tree", &tree.path.display().to_string()));
    // This makes the build reproducible: the same bytes at any time and place.
    rpmbuild.args(define("_buildhost", "localhost")).args(define("use_source_date_epoch_as_buildtime", "1"));
    rpmbuild.args(define("clamp_mtime_to_source_date_epoch", "1")).env("SOURCE_DATE_EPOCH", &tree.time);
    run(rpmbuild.arg(&spec))?;
    let package = format!("flow-agent-{}-1.{ARCH}.rpm", env!("CARGO_PKG_VERSION"));
    fs::rename(build.join("RPMS").join(ARCH).join(&package), tree.out.join(&package))?;
    super::remove(&[&build])?;
    Ok(Some(package))
}

/// Every file of the tree as a line of `%files`, and every directory that is ours alone, so that a removal leaves none
/// behind. Configuration files are kept on upgrades.
fn files(tree: &Path) -> Result<String> {
    let found = output(command("find", [".", "-type", "f", "-printf", "/%P\\n"]).current_dir(tree))?;
    let mut files: Vec<String> = found
        .lines()
        .map(|path| match path.starts_with("/etc/") {
            true => format!("%config(noreplace) {path}"),
            false => path.to_owned(),
        })
        .collect();
    let found =
        output(command("find", [".", "-type", "d", "-path", "*/flow-agent*", "-printf", "/%P\\n"]).current_dir(tree))?;
    files.extend(found.lines().map(|path| format!("%dir {path}")));
    files.sort();
    Ok(files.join("\n"))
}
