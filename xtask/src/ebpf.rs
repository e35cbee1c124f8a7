//! `cargo xtask ebpf`: builds the classifiers into `flow-ebpf/object/`, or checks that what lies there is what they build.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{command, output, root, run as run_command};

/// The package that is shipped, and its binary.
const CLASSIFIERS: &str = "flow-ebpf";
/// The package of the benches, `flow-agent/benches/rivals`, and its binary.
const RIVALS: &str = "rivals";
const OBJECT: &str = "flow-ebpf/object/flow-ebpf.o";
const LINKER: &str = "bpf-linker";
/// The last release that links with the LLVM of the pinned rustc, so that no other LLVM is needed.
const LINKER_VERSION: &str = "0.10.3";
const TARGET: &str = "bpfel-unknown-none";
const PROFILE: &str = "ebpf";
/// An own target directory: cargo would otherwise wait for, and rebuild, what it builds for the host.
const TARGET_DIR: &str = "target/ebpf";
const TOOLS_DIR: &str = "target/tools";

/// Builds the eBPF object (installs bpf-linker and rust-src where they are missing)
#[derive(clap::Args)]
pub struct Options {
    /// Build it, and only compare it with the object that is committed
    #[arg(long)]
    check: bool,
}

/// Builds the object; writes it, or with `--check` compares it byte for byte.
///
/// # Errors
/// When a tool cannot be installed, the build fails, or the committed object is another one.
pub fn run(options: Options) -> Result<()> {
    install_rust_src()?;
    let path = install_linker()?;
    lint(&path)?;
    let built = build(&path)?;
    let object = root().join(OBJECT);
    if !options.check {
        fs::create_dir_all(object.parent().expect("the object lies in a directory"))?;
        fs::write(&object, &built).with_context(|| format!("failed to write {}", object.display()))?;
        println!("{OBJECT}: {} bytes", built.len());
        return Ok(());
    }
    let committed = fs::read(&object).with_context(|| format!("failed to read {}", object.display()))?;
    if committed != built {
        bail!(
            "{OBJECT} ({} bytes) is not what its sources build ({} bytes): run `cargo xtask ebpf` and commit the result",
            committed.len(),
            built.len()
        );
    }
    println!("{OBJECT}: is what its sources build");
    Ok(())
}

/// Builds the programs that a bench measures the classifiers beside, and says where they lie. They are not committed.
///
/// # Errors
/// When a tool cannot be installed, or the build fails.
pub fn rivals() -> Result<PathBuf> {
    install_rust_src()?;
    let path = install_linker()?;
    run_command(&mut cargo("build", RIVALS, &path))?;
    Ok(built(RIVALS))
}

/// There is no `core` for eBPF among the toolchain's files: it is built from its sources.
fn install_rust_src() -> Result<()> {
    let sysroot = output(&mut command("rustc", ["--print", "sysroot"]))?;
    if PathBuf::from(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir() {
        return Ok(());
    }
    eprintln!("installing the toolchain's component rust-src");
    run_command(&mut command("rustup", ["component", "add", "rust-src"]))
}

/// Returns a `PATH` on which the pinned linker comes first. One of another version is left as it is.
fn install_linker() -> Result<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let ours = root().join(TOOLS_DIR).join("bin");
    let with_ours = env::join_paths(std::iter::once(ours.clone()).chain(env::split_paths(&path)))?;
    let wanted = format!("{LINKER} {LINKER_VERSION}");
    for path in [&path, &with_ours] {
        let version = output(command(LINKER, ["--version"]).env("PATH", path));
        if version.is_ok_and(|version| version.trim() == wanted) {
            return Ok(path.clone());
        }
    }
    eprintln!("installing {wanted} into {} (about two minutes)", ours.display());
    let arguments = ["install", LINKER, "--version", LINKER_VERSION, "--locked", "--root", TOOLS_DIR];
    run_command(&mut command("cargo", arguments))?;
    Ok(with_ours)
}

fn build(path: &std::ffi::OsStr) -> Result<Vec<u8>> {
    run_command(&mut cargo("build", CLASSIFIERS, path))?;
    let built = built(CLASSIFIERS);
    fs::read(&built).with_context(|| format!("failed to read {}", built.display()))
}

/// Where cargo puts this binary.
fn built(binary: &str) -> PathBuf {
    root().join(TARGET_DIR).join(TARGET).join(PROFILE).join(binary)
}

/// A pass of clippy of their own: their panic handler and the standard library's cannot be in one build.
fn lint(path: &std::ffi::OsStr) -> Result<()> {
    [CLASSIFIERS, RIVALS]
        .iter()
        .try_for_each(|package| run_command(cargo("clippy", package, path).args(["--", "-D", "warnings"])))
}

fn cargo(verb: &str, package: &str, path: &std::ffi::OsStr) -> Command {
    let mut cargo = command("cargo", [verb, "--package", package, "--profile", PROFILE, "--locked"]);
    cargo.args(["--target", TARGET, "-Zbuild-std=core", "--target-dir", TARGET_DIR]);
    // The pinned stable toolchain builds `core` too, once it is told that it may.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("PATH", path);
    // Nothing but these, whatever the environment or the user's configuration add: the object is compared byte for byte.
    // v3 is the instruction set of every kernel since 5.1. Small copies are to be instructions, not calls in a loop.
    let flags = [
        "-Clinker=bpf-linker",
        "-Clink-arg=--disable-expand-memcpy-in-order",
        "-Ctarget-cpu=v3",
        "--cfg=bpf_target_arch=\"x86_64\"",
    ];
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    for variable in ["RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET_DIR"] {
        cargo.env_remove(variable);
    }
    cargo
}
