//! `cargo xtask ebpf`: builds the classifiers into `flow-ebpf/object/`, or checks that the committed object is up to
//! date.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{command, output, root, run as run_command};
use crate::tools::Tool;

/// The package of the classifiers, and its binary.
const CLASSIFIERS: &str = "flow-ebpf";
/// The package of the benches' alternatives, `flow-agent/benches/rivals`, and its binary.
const RIVALS: &str = "rivals";
const OBJECT: &str = "flow-ebpf/object/flow-ebpf.o";
/// The last release that links with the LLVM of the pinned rustc, so that no other LLVM is needed.
const LINKER: Tool = Tool { name: "bpf-linker", version: "0.10.3", unoptimised: false };
const TARGET: &str = "bpfel-unknown-none";
const PROFILE: &str = "ebpf";
/// A separate target directory. Otherwise cargo would wait for builds for the host, and rebuild their files.
const TARGET_DIR: &str = "target/ebpf";

/// Builds the eBPF object (installs bpf-linker and rust-src if they are missing)
#[derive(clap::Args)]
pub struct Options {
    /// Build it, and only compare it with the committed object
    #[arg(long)]
    check: bool,
}

/// Builds the object, and writes it or, with `--check`, compares it byte for byte with the committed one.
///
/// # Errors
/// When a tool cannot be installed, the build fails, or the committed object differs.
pub fn run(options: Options) -> Result<()> {
    install_rust_src()?;
    let path = LINKER.path()?;
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
            "{OBJECT} ({} bytes) differs from what its sources build ({} bytes): run `cargo xtask ebpf` and commit \
             the result",
            committed.len(),
            built.len()
        );
    }
    println!("{OBJECT}: matches what its sources build");
    Ok(())
}

/// Builds the programs with which a bench compares the classifiers, and returns their path. They are not committed.
///
/// # Errors
/// When a tool cannot be installed, or the build fails.
pub fn rivals() -> Result<PathBuf> {
    install_rust_src()?;
    let path = LINKER.path()?;
    run_command(&mut cargo("build", RIVALS, &path))?;
    Ok(built(RIVALS))
}

/// Installs the sources of `core`, from which it is built for eBPF, because the toolchain has no compiled one.
fn install_rust_src() -> Result<()> {
    let sysroot = output(&mut command("rustc", ["--print", "sysroot"]))?;
    if PathBuf::from(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir() {
        return Ok(());
    }
    eprintln!("installing the toolchain's component rust-src");
    run_command(&mut command("rustup", ["component", "add", "rust-src"]))
}

fn build(path: &std::ffi::OsStr) -> Result<Vec<u8>> {
    run_command(&mut cargo("build", CLASSIFIERS, path))?;
    let built = built(CLASSIFIERS);
    fs::read(&built).with_context(|| format!("failed to read {}", built.display()))
}

/// The path at which cargo puts this binary.
fn built(binary: &str) -> PathBuf {
    root().join(TARGET_DIR).join(TARGET).join(PROFILE).join(binary)
}

/// A separate run of clippy, because the eBPF panic handler and that of the standard library cannot be in one build.
fn lint(path: &std::ffi::OsStr) -> Result<()> {
    [CLASSIFIERS, RIVALS]
        .iter()
        .try_for_each(|package| run_command(cargo("clippy", package, path).args(["--", "-D", "warnings"])))
}

fn cargo(verb: &str, package: &str, path: &std::ffi::OsStr) -> Command {
    let mut cargo = command("cargo", [verb, "--package", package, "--profile", PROFILE, "--locked"]);
    cargo.args(["--target", TARGET, "-Zbuild-std=core", "--target-dir", TARGET_DIR]);
    // The pinned stable toolchain can build `core` too if this variable permits it.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("PATH", path);
    // Only these flags, whatever the environment or the user's configuration adds, because the object is compared byte
    // for byte. All kernels since 5.1 have the instruction set v3. Small copies should be instructions and not calls in
    // a loop.
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
