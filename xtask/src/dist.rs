//! `cargo xtask dist`: builds what is released: a tarball, packages for Debian and RPM systems from the same tree of
//! files, an SBOM that lists everything the program is built from, and checksums.

mod deb;
mod rpm;
mod sbom;

use std::env::consts::ARCH;
use std::env::{self, VarError};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::process::{command, output, root, run as run_command};

/// The build of the program that is packaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The build that is released.
    Release,
    /// The build that the tests have made already, for testing the package.
    Debug,
}

impl Profile {
    fn out(self) -> &'static str {
        match self {
            Self::Release => "target/dist",
            Self::Debug => "target/dist-debug",
        }
    }

    /// Releases have a target directory of their own, because they are built with flags of their own.
    fn target_dir(self) -> &'static str {
        match self {
            Self::Release => "target/dist/build",
            Self::Debug => "target",
        }
    }

    fn program(self) -> PathBuf {
        let directory = match self {
            Self::Release => format!("{}/release", target()),
            Self::Debug => "debug".to_owned(),
        };
        root().join(self.target_dir()).join(directory).join("flow-agent")
    }
}

/// Releases are linked statically, so that one program runs with any version of any C library, and with none.
fn target() -> String {
    format!("{ARCH}-unknown-linux-musl")
}

/// A tree of files to package.
struct Tree {
    /// The directory of the packages and of the tree.
    out: PathBuf,
    path: PathBuf,
    /// The modification time of all files, in seconds since 1970.
    time: String,
    profile: Profile,
}

/// The files: the path in the repository, the path of installation, and the mode.
const FILES: &[(&str, &str, u32)] = &[
    ("flow-agent/default-config.toml", "etc/flow-agent/config.toml", 0o640),
    ("flow-agent/default-config.toml", "usr/share/doc/flow-agent/default-config.toml", 0o644),
    ("flow-agent/packaging/flow-agent.service", "usr/lib/systemd/system/flow-agent.service", 0o644),
    ("flow-agent/packaging/flow-agent-report.service", "usr/lib/systemd/system/flow-agent-report.service", 0o644),
    ("flow-agent/packaging/flow-agent-report.timer", "usr/lib/systemd/system/flow-agent-report.timer", 0o644),
    ("flow-agent/packaging/flow-agent-notify.service", "usr/lib/systemd/system/flow-agent-notify.service", 0o644),
    ("flow-agent/packaging/flow-agent-notify.timer", "usr/lib/systemd/system/flow-agent-notify.timer", 0o644),
    ("flow-agent/packaging/flow-agent-gather.service", "usr/lib/systemd/system/flow-agent-gather.service", 0o644),
    ("flow-agent/packaging/flow-agent-gather.timer", "usr/lib/systemd/system/flow-agent-gather.timer", 0o644),
    ("flow-agent/packaging/flow-agent-ship.service", "usr/lib/systemd/system/flow-agent-ship.service", 0o644),
    ("flow-agent/packaging/flow-agent.sysusers", "usr/lib/sysusers.d/flow-agent.conf", 0o644),
    ("flow-agent/packaging/clickhouse/1-tables.sql", "usr/share/flow-agent/clickhouse/1-tables.sql", 0o644),
    ("flow-agent/packaging/clickhouse/1-views.sql", "usr/share/flow-agent/clickhouse/1-views.sql", 0o644),
    ("flow-agent/packaging/clickhouse/1-users.sql", "usr/share/flow-agent/clickhouse/1-users.sql", 0o644),
    ("flow-agent/packaging/clickhouse/1-reduced.sql", "usr/share/flow-agent/clickhouse/1-reduced.sql", 0o644),
    ("flow-agent/packaging/grafana/fleet.json", "usr/share/flow-agent/grafana/fleet.json", 0o644),
    ("flow-agent/packaging/flow-agent.preset", "usr/lib/systemd/system-preset/80-flow-agent.preset", 0o644),
    ("flow-agent/packaging/flow-agent.tmpfiles", "usr/lib/tmpfiles.d/flow-agent.conf", 0o644),
    ("flow-agent/packaging/flow-agent-docker", "usr/lib/flow-agent/flow-agent-docker", 0o755),
    ("flow-agent/packaging/flow-agent-docker.service", "usr/lib/systemd/system/flow-agent-docker.service", 0o644),
    ("flow-agent/packaging/flow-agent-docker.timer", "usr/lib/systemd/system/flow-agent-docker.timer", 0o644),
    ("flow-agent/packaging/flow-agent-frps", "usr/lib/flow-agent/flow-agent-frps", 0o755),
    ("flow-agent/packaging/flow-agent-frps.service", "usr/lib/systemd/system/flow-agent-frps.service", 0o644),
    ("flow-agent/packaging/flow-agent-frps.timer", "usr/lib/systemd/system/flow-agent-frps.timer", 0o644),
    (
        "flow-agent/packaging/flow-agent-frps-hooks.service",
        "usr/lib/systemd/system/flow-agent-frps-hooks.service",
        0o644,
    ),
    ("flow-agent/packaging/prometheus/alerts.yml", "usr/share/flow-agent/prometheus/alerts.yml", 0o644),
    ("flow-agent/packaging/grafana/flow-agent.json", "usr/share/flow-agent/grafana/flow-agent.json", 0o644),
    ("flow-agent/packaging/flow-agent.cron", "usr/share/doc/flow-agent/flow-agent.cron", 0o644),
    ("README.md", "usr/share/doc/flow-agent/README.md", 0o644),
    ("README.zh-CN.md", "usr/share/doc/flow-agent/README.zh-CN.md", 0o644),
    ("CHANGELOG.md", "usr/share/doc/flow-agent/CHANGELOG.md", 0o644),
    ("LICENSE", "usr/share/doc/flow-agent/copyright", 0o644),
    // The README links to these.
    ("LICENSE", "usr/share/doc/flow-agent/LICENSE", 0o644),
    ("CONTRIBUTING.md", "usr/share/doc/flow-agent/CONTRIBUTING.md", 0o644),
    ("tests/README.md", "usr/share/doc/flow-agent/tests/README.md", 0o644),
];

/// Where zsh itself looks for completions; Debian's packages use another directory.
const ZSH: &str = "usr/share/zsh/site-functions/_flow-agent";
const ZSH_OF_DEBIAN: &str = "usr/share/zsh/vendor-completions/_flow-agent";

/// Files that only the tarball has, because it is installed without a package manager, and possibly without systemd.
const TARBALL_FILES: &[(&str, &str, u32)] = &[
    ("flow-agent/packaging/tarball/install.sh", "install.sh", 0o755),
    ("flow-agent/packaging/tarball/flow-agent.openrc", "openrc/flow-agent", 0o755),
];

/// Builds a release into target/dist: a tarball, packages for Debian and RPM systems, an SBOM, and their checksums
#[derive(clap::Args)]
pub struct Options {}

/// Builds a release. The same commit, built with the same toolchain on the same system, gives the same bytes in any
/// directory.
///
/// # Errors
/// When the build or a system program (tar, dpkg-deb, sha256sum) fails.
pub fn run(_options: Options) -> Result<()> {
    package(Profile::Release).map(drop)
}

/// Like [`run`], with the program of `profile`. Returns the path of the Debian package, if one could be made.
///
/// # Errors
/// Like [`run`].
pub fn package(profile: Profile) -> Result<Option<PathBuf>> {
    let out = root().join(profile.out());
    let name = format!("flow-agent-{}-{ARCH}-linux", env!("CARGO_PKG_VERSION"));
    let (path, manual) = (out.join(&name), out.join("manual"));
    remove(&[&path, &manual])?;
    if profile == Profile::Release {
        prepare_target()?;
    }
    run_command(&mut build(profile))?;
    // The manual pages do not depend on the build, and what the tests have built exists already.
    run_command(
        command("cargo", ["run", "--locked", "--package", "flow-agent", "--example", "manual", "--"]).arg(&manual),
    )?;

    let tree = Tree { out, path, time: time()?, profile };
    install(&profile.program(), &tree.path.join("usr/sbin/flow-agent"), 0o755)?;
    for (from, to, mode) in FILES {
        install(&root().join(from), &tree.path.join(to), *mode)?;
    }
    documents(&tree.path.join("usr/share/doc/flow-agent/docs"))?;
    for entry in fs::read_dir(&manual)? {
        let path = entry?.path();
        install(&path, &tree.path.join(place(&path)?), 0o644)?;
    }
    compress_pages(&tree.path)?;
    let mut files = Vec::new();
    if profile == Profile::Release {
        for (from, to, mode) in TARBALL_FILES {
            install(&root().join(from), &tree.path.join(to), *mode)?;
        }
        files.push(pack(&tree, &name)?);
        for (_, to, _) in TARBALL_FILES {
            fs::remove_file(tree.path.join(to))?;
        }
        fs::remove_dir(tree.path.join("openrc"))?;
        files.extend(rpm::build(&tree)?);
        files.push(sbom::write(&tree.out, &name, &target())?);
    }
    let package = deb::build(&tree)?;
    files.extend(package.clone());
    let sums = output(command("sha256sum", &files).current_dir(&tree.out))?;
    fs::write(tree.out.join("SHA256SUMS"), &sums)?;
    remove(&[&tree.path, &manual])?;
    print!("{}:\n{sums}", profile.out());
    Ok(package.map(|package| tree.out.join(package)))
}

/// Removes those of the directories that exist.
fn remove(directories: &[&Path]) -> Result<()> {
    for directory in directories.iter().filter(|directory| directory.exists()) {
        fs::remove_dir_all(directory).with_context(|| format!("failed to remove {}", directory.display()))?;
    }
    Ok(())
}

/// Installs Rust's standard library for [`target`], and a C compiler for SQLite and the TLS library.
fn prepare_target() -> Result<()> {
    if !Path::new("/usr/bin/musl-gcc").exists() {
        packages::install(&["musl-tools"])?;
    }
    run_command(&mut command("rustup", ["target", "add", &target()]))
}

fn build(profile: Profile) -> Command {
    match profile {
        Profile::Release => build_release(),
        Profile::Debug => command("cargo", ["build", "--locked", "--package", "flow-agent"]),
    }
}

/// The cargo command for a release, which does not reveal where it was built.
fn build_release() -> Command {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))).unwrap_or_default();
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let what =
        ["build", "--release", "--locked", "--package", "flow-agent", "--features", "sqlite", "--bin", "flow-agent"];
    let mut cargo = command("cargo", what);
    cargo.args(["--target", &target()]).env_remove("RUSTFLAGS");
    cargo.env("CARGO_TARGET_DIR", Profile::Release.target_dir());
    cargo.env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    cargo.env(format!("CC_{}", target().replace('-', "_")), "musl-gcc");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", [remap(&home, "/cargo"), remap(root(), "/flow-agent")].join("\x1f"));
    cargo
}

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let failed = || format!("failed to copy {} to {}", from.display(), to.display());
    fs::create_dir_all(to.parent().expect("it lies in the tree")).with_context(failed)?;
    fs::copy(from, to).with_context(failed)?;
    fs::set_permissions(to, Permissions::from_mode(mode)).with_context(failed)
}

/// The installation path of a manual page or of a shell's completions.
fn place(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(match &*name {
        "_flow-agent" => ZSH.into(),
        "flow-agent.bash" => "usr/share/bash-completion/completions/flow-agent".into(),
        "flow-agent.fish" => "usr/share/fish/vendor_completions.d/flow-agent.fish".into(),
        page if page.ends_with(".8") => Path::new("usr/share/man/man8").join(page),
        page if page.ends_with(".5") => Path::new("usr/share/man/man5").join(page),
        other => bail!("no rule says where {other} belongs"),
    })
}

/// Copies everything in `docs`, including subdirectories.
fn documents(target: &Path) -> Result<()> {
    let docs = root().join("docs");
    let mut directories = vec![docs.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let below = path.strip_prefix(&docs).expect("it was found there");
                install(&path, &target.join(below), 0o644)?;
            }
        }
    }
    Ok(())
}

/// Compresses manual pages as distributions do.
fn compress_pages(tree: &Path) -> Result<()> {
    for section in ["man5", "man8"] {
        // The directory is listed completely first, because compressing changes it, and gzip fails on a page that is
        // already compressed.
        let pages = fs::read_dir(tree.join("usr/share/man").join(section))?.collect::<Result<Vec<_>, _>>()?;
        for page in pages {
            run_command(command("gzip", ["-9n"]).arg(page.path()))?;
        }
    }
    Ok(())
}

/// The modification time of all files, in seconds since 1970: that of the commit, unless the environment sets another.
fn time() -> Result<String> {
    match env::var("SOURCE_DATE_EPOCH") {
        Ok(time) => Ok(time),
        Err(VarError::NotPresent) => Ok(output(&mut command("git", ["log", "-1", "--format=%ct"]))?.trim().to_owned()),
        Err(error) => Err(error).context("SOURCE_DATE_EPOCH"),
    }
}

/// Packs the tree and returns the name of the tarball.
fn pack(tree: &Tree, name: &str) -> Result<String> {
    let tarball = format!("{name}.tar.gz");
    let mtime = format!("--mtime=@{}", tree.time);
    // This keeps the name and the time of the tarball itself out of the gzip header.
    let arguments = ["--use-compress-program=gzip -9n", "--format=gnu", "--sort=name", "--numeric-owner", &mtime];
    let mut tar = command("tar", arguments);
    tar.args(["--owner=0", "--group=0", "-cf", &tarball, name]).current_dir(&tree.out);
    run_command(&mut tar)?;
    Ok(tarball)
}

#[cfg(test)]
mod tests;
