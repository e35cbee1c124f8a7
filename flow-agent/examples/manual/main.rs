//! Writes the manual pages and the shells' completions into a directory: what `cargo xtask dist` packs.
//!
//! They are made from the command line itself, and the program that is installed need not carry what makes them.

#![expect(clippy::disallowed_methods, reason = "edge: files")]

// The path is stated because the test `manual` includes the same file, and looks for its modules in the same directory.
#[path = "generate.rs"]
mod generate;

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a directory to write to"));
    };
    let directory = Path::new(&directory);
    fs::create_dir_all(directory)?;
    generate::files()?.into_iter().try_for_each(|(name, text)| fs::write(directory.join(name), text))
}
