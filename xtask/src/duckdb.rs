//! DuckDB from PyPI in a virtual environment below `target`. The report bench compares itself with it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::packages;
use crate::process::{command, root, run};

const VERSION: &str = "2.0.1";

/// Debian's Python cannot make a virtual environment without this package.
const PACKAGES: &[&str] = &["python3-venv"];

/// Installs DuckDB if necessary. Returns the path of the Python interpreter that has it.
///
/// # Errors
/// When a package cannot be installed.
pub fn install() -> Result<PathBuf> {
    let environment = root().join("target/duckdb");
    let python = environment.join("bin/python");
    let installed = environment.join("version");
    if fs::read_to_string(&installed).is_ok_and(|version| version == VERSION) {
        return Ok(python);
    }
    packages::install(PACKAGES)?;
    run(command("/usr/bin/python3", ["-m", "venv", "--clear"]).arg(&environment))?;
    let wanted = format!("duckdb=={VERSION}");
    let options = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"];
    run(command(&python.to_string_lossy(), options).arg(wanted))?;
    fs::write(&installed, VERSION).with_context(|| format!("failed to write {}", installed.display()))?;
    Ok(python)
}
