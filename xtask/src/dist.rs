//! `cargo xtask dist`: what is handed out: a tarball, and a package for Debian and Ubuntu, both of one tree of files.

use std::env::consts::ARCH;
use std::env::{self, VarError};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{command, output, root, run as run_command};

/// Which program is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// What is handed out.
    Release,
    /// The program that the tests have built already, for a test of the package.
    Debug,
}

impl Profile {
    fn out(self) -> &'static str {
        match self {
            Self::Release => "target/dist",
            Self::Debug => "target/dist-debug",
        }
    }

    /// Releases have a target directory of their own, for they are built with flags of their own.
    fn target_dir(self) -> &'static str {
        match self {
            Self::Release => "target/dist/build",
            Self::Debug => "target",
        }
    }

    fn program(self) -> PathBuf {
        let directory = match self {
            Self::Release => "release",
            Self::Debug => "debug",
        };
        root().join(self.target_dir()).join(directory).join("flow-agent")
    }
}

/// What lies in the repository, where it is installed to, and with which mode.
const FILES: &[(&str, &str, u32)] = &[
    ("flow-agent/default-config.toml", "etc/flow-agent/config.toml", 0o640),
    ("flow-agent/packaging/flow-agent.service", "usr/lib/systemd/system/flow-agent.service", 0o644),
    ("flow-agent/packaging/flow-agent-report.service", "usr/lib/systemd/system/flow-agent-report.service", 0o644),
    ("flow-agent/packaging/flow-agent-report.timer", "usr/lib/systemd/system/flow-agent-report.timer", 0o644),
    ("flow-agent/packaging/flow-agent.preset", "usr/lib/systemd/system-preset/80-flow-agent.preset", 0o644),
    ("flow-agent/packaging/flow-agent.tmpfiles", "usr/lib/tmpfiles.d/flow-agent.conf", 0o644),
    ("flow-agent/packaging/flow-agent-docker", "usr/lib/flow-agent/flow-agent-docker", 0o755),
    ("flow-agent/packaging/flow-agent-docker.service", "usr/lib/systemd/system/flow-agent-docker.service", 0o644),
    ("flow-agent/packaging/flow-agent-docker.timer", "usr/lib/systemd/system/flow-agent-docker.timer", 0o644),
    ("flow-agent/packaging/flow-agent-frps", "usr/lib/flow-agent/flow-agent-frps", 0o755),
    ("flow-agent/packaging/flow-agent-frps.service", "usr/lib/systemd/system/flow-agent-frps.service", 0o644),
    ("flow-agent/packaging/flow-agent-frps.timer", "usr/lib/systemd/system/flow-agent-frps.timer", 0o644),
    ("flow-agent/packaging/flow-agent.cron", "usr/share/doc/flow-agent/flow-agent.cron", 0o644),
    ("README.md", "usr/share/doc/flow-agent/README.md", 0o644),
    ("CHANGELOG.md", "usr/share/doc/flow-agent/CHANGELOG.md", 0o644),
    ("LICENSE", "usr/share/doc/flow-agent/copyright", 0o644),
];

/// What makes a package of the tree, in `flow-agent/packaging/deb`.
const DEBIAN: &[(&str, u32)] =
    &[("control", 0o644), ("conffiles", 0o644), ("postinst", 0o755), ("prerm", 0o755), ("postrm", 0o755)];

/// Builds a release into target/dist: a tarball, a package for Debian and Ubuntu, and their sums
#[derive(clap::Args)]
pub struct Options {}

/// The same commit, built with the same toolchain on the same system, gives the same bytes, wherever it lies.
///
/// # Errors
/// When the build fails, or a program of the system (tar, dpkg-deb, sha256sum).
pub fn run(_options: Options) -> Result<()> {
    package(Profile::Release).map(drop)
}

/// [`run`] with the program of `profile`; where the package lies, if one could be made.
///
/// # Errors
/// As [`run`].
pub fn package(profile: Profile) -> Result<Option<PathBuf>> {
    let out = root().join(profile.out());
    let name = format!("flow-agent-{}-{ARCH}-linux", env!("CARGO_PKG_VERSION"));
    let (tree, manual) = (out.join(&name), out.join("manual"));
    for old in [&tree, &manual] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("failed to remove {}", old.display()))?;
        }
    }
    run_command(&mut cargo(profile, "build"))?;
    run_command(cargo(profile, "run").args(["--example", "manual", "--"]).arg(&manual))?;

    install(&profile.program(), &tree.join("usr/sbin/flow-agent"), 0o755)?;
    for (from, to, mode) in FILES {
        install(&root().join(from), &tree.join(to), *mode)?;
    }
    for entry in fs::read_dir(&manual)? {
        let path = entry?.path();
        install(&path, &tree.join(place(&path)?), 0o644)?;
    }
    let time = time()?;
    let mut files = match profile {
        Profile::Release => vec![pack(&out, &name, &time)?],
        Profile::Debug => Vec::new(),
    };
    let package = build_package(profile, &tree, &time)?;
    files.extend(package.clone());
    let sums = output(command("sha256sum", &files).current_dir(&out))?;
    fs::write(out.join("SHA256SUMS"), &sums)?;
    print!("{}:\n{sums}", profile.out());
    Ok(package.map(|package| out.join(package)))
}

fn cargo(profile: Profile, verb: &str) -> Command {
    match profile {
        Profile::Release => cargo_for_release(verb),
        Profile::Debug => command("cargo", [verb, "--locked", "--package", "flow-agent"]),
    }
}

/// Cargo, for a release that does not tell where it was built.
fn cargo_for_release(verb: &str) -> Command {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))).unwrap_or_default();
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let mut cargo =
        command("cargo", [verb, "--release", "--locked", "--package", "flow-agent", "--features", "sqlite"]);
    cargo.env("CARGO_TARGET_DIR", Profile::Release.target_dir()).env_remove("RUSTFLAGS");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", [remap(&home, "/cargo"), remap(root(), "/flow-agent")].join("\x1f"));
    cargo
}

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let failed = || format!("failed to copy {} to {}", from.display(), to.display());
    fs::create_dir_all(to.parent().expect("it lies in the tree")).with_context(failed)?;
    fs::copy(from, to).with_context(failed)?;
    fs::set_permissions(to, Permissions::from_mode(mode)).with_context(failed)
}

/// Where a manual page or a shell's completions are looked for.
fn place(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(match &*name {
        "_flow-agent" => "usr/share/zsh/vendor-completions/_flow-agent".into(),
        "flow-agent.bash" => "usr/share/bash-completion/completions/flow-agent".into(),
        "flow-agent.fish" => "usr/share/fish/vendor_completions.d/flow-agent.fish".into(),
        page if page.ends_with(".8") => Path::new("usr/share/man/man8").join(page),
        other => bail!("nobody knows where {other} belongs"),
    })
}

/// The time that all files bear, in seconds since 1970: that of the commit, unless the environment says another.
fn time() -> Result<String> {
    match env::var("SOURCE_DATE_EPOCH") {
        Ok(time) => Ok(time),
        Err(VarError::NotPresent) => Ok(output(&mut command("git", ["log", "-1", "--format=%ct"]))?.trim().to_owned()),
        Err(error) => Err(error).context("SOURCE_DATE_EPOCH"),
    }
}

/// The tarball's name.
fn pack(out: &Path, name: &str, time: &str) -> Result<String> {
    let tarball = format!("{name}.tar.gz");
    let mtime = format!("--mtime=@{time}");
    // No name and time of the tarball itself in the gzip header.
    let arguments = ["--use-compress-program=gzip -9n", "--format=gnu", "--sort=name", "--numeric-owner", &mtime];
    let mut tar = command("tar", arguments);
    tar.args(["--owner=0", "--group=0", "-cf", &tarball, name]).current_dir(out);
    run_command(&mut tar)?;
    Ok(tarball)
}

/// The package's name; `None` where there is nothing to make one with. The tree is the package's afterwards.
fn build_package(profile: Profile, tree: &Path, time: &str) -> Result<Option<String>> {
    if !Path::new("/usr/bin/dpkg-deb").exists() {
        eprintln!("no dpkg-deb here: a tarball only");
        return Ok(None);
    }
    let architecture = output(&mut command("dpkg", ["--print-architecture"]))?;
    // An older C library may lack what the linker found in this one.
    let libc = output(&mut command("dpkg-query", ["-W", "-f=${source:Upstream-Version}", "libc6"]))?;
    for (name, mode) in DEBIAN {
        install(&root().join("flow-agent/packaging/deb").join(name), &tree.join("DEBIAN").join(name), *mode)?;
    }
    let control = fs::read_to_string(tree.join("DEBIAN/control"))?;
    let control = control
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@ARCHITECTURE@", architecture.trim())
        .replace("@LIBC@", libc.trim());
    fs::write(tree.join("DEBIAN/control"), control)?;
    let package = format!("flow-agent_{}_{}.deb", env!("CARGO_PKG_VERSION"), architecture.trim());
    let mut dpkg_deb = command("dpkg-deb", ["--root-owner-group"]);
    if profile == Profile::Debug {
        // Its debug information would take minutes.
        dpkg_deb.arg("-Znone");
    }
    dpkg_deb.arg("--build").arg(tree).arg(&package).env("SOURCE_DATE_EPOCH", time);
    dpkg_deb.current_dir(root().join(profile.out()));
    run_command(&mut dpkg_deb)?;
    Ok(Some(package))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_packaged_is_there_and_nothing_is_forgotten() {
        for (from, ..) in FILES {
            assert!(root().join(from).is_file(), "{from}");
        }
        let names = |directory: &str| {
            let entries = fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap());
            entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name().into_string().unwrap())
        };
        for name in names("flow-agent/packaging") {
            assert!(FILES.iter().any(|(from, ..)| from.ends_with(&format!("packaging/{name}"))), "{name}");
        }
        for name in names("flow-agent/packaging/deb") {
            assert!(DEBIAN.iter().any(|(known, _)| *known == name), "{name}");
        }
    }

    #[test]
    fn what_is_configuration_is_kept_at_an_upgrade() {
        let conffiles = fs::read_to_string(root().join("flow-agent/packaging/deb/conffiles")).unwrap();
        let installed = FILES.iter().filter(|(_, to, _)| to.starts_with("etc/")).map(|(_, to, _)| format!("/{to}\n"));
        assert_eq!(conffiles, installed.collect::<String>());
    }
}
