//! `flow-agent init`: looks around on this machine and prints a configuration for what it found.

mod draft;

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Common, output};
use crate::backend::host;
use crate::backend::interfaces::Patterns;
use crate::config::{DEFAULT_CONFIG, DEFAULT_PATH};
use crate::errors::chain;
use crate::exit::{Code, Failure};
use crate::ports::content::Problem;
use crate::ports::ephemeral::Ephemeral;
use crate::ports::file::Reader;
use crate::ports::listening::listening;
use crate::ports::places::PLACES;
use crate::ports::{PortFile, PortFileFormat};
use crate::store::disk::{self, RealDisk, create_dirs, parent};
use crate::store::document;
use draft::{Device, FoundFile, Surroundings};

/// Look around on this machine and print a configuration for what was found
///
/// Looks at the usual places of panels and servers, at listening sockets, and at the devices and routes. It changes
/// nothing and sends nothing over the network.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write it to /etc/flow-agent/config.toml, or to the file that --config names, instead of printing it; never
    /// overwrites a file, except the commented default that a package installs, if it is unchanged
    #[arg(long)]
    write: bool,
    /// Where the places of panels and servers lie
    #[arg(long, hide = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Prints or writes the configuration.
///
/// # Errors
/// With code 3 if there is a configuration already, 5 if it cannot be written.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let text = draft::draft(&surroundings(&args.root));
    if !args.write {
        output::print(&text)?;
        return Ok(Code::Done);
    }
    let path = common.config.as_deref().unwrap_or(Path::new(DEFAULT_PATH));
    if is_untouched_default(path) {
        disk::replace(&RealDisk, path, text.as_bytes()).map_err(cannot_write(path))?;
    } else {
        write_new(path, &text)?;
    }
    let named = common.config.as_ref().map_or_else(String::new, |path| format!(" --config {}", path.display()));
    output::print(&format!("wrote {}; review it, then run: flow-agent check{named}\n", path.display()))?;
    Ok(Code::Done)
}

/// Whether the file is what packages install, in which everything is commented out. It is nobody's work, and without
/// this exception nobody who has installed a package could use `--write`.
fn is_untouched_default(path: &Path) -> bool {
    matches!(document::read_text(path), Ok(Some(text)) if text == DEFAULT_CONFIG)
}

fn cannot_write(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| {
        Failure::new(Code::Store, anyhow::Error::new(error).context(format!("failed to write `{}`", path.display())))
    }
}

/// Writes a file that must not exist yet.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = cannot_write(path);
    create_dirs(&RealDisk, parent(path)).map_err(&failed)?;
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o640).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let error = anyhow::anyhow!("`{}` already exists, and was not changed", path.display());
            return Err(Failure::new(Code::Config, error)
                .help("print the configuration with `flow-agent init`, or name another file with --config"));
        }
        Err(error) => return Err(failed(error)),
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Examines this machine. What cannot be read is left out, and the draft says so.
fn surroundings(root: &Path) -> Surroundings {
    let mut reader = Reader::default();
    let mut files = Vec::new();
    for (format, place) in PLACES {
        let path = root.join(place.trim_start_matches('/'));
        let found = reader.read(&PortFile { path: path.clone(), format }).map_err(|error| error.source);
        let is_absent = |problem: &Problem| matches!(problem, Problem::Io(error) if is_elsewhere(error.kind()));
        match found {
            Err(problem) if is_absent(&problem) || matches!(problem, Problem::EmptyFolder { .. }) => {}
            // Most installations of nginx only serve pages. One that includes streams has a complaint about that.
            Ok(found)
                if format == PortFileFormat::Nginx
                    && found.listed.owners.is_empty()
                    && found.listed.complaint_count() == 0 => {}
            Ok(found) => files.push(FoundFile { format, path, listed: Ok(found.listed) }),
            Err(problem) => files.push(FoundFile { format, path, listed: Err(chain(&problem)) }),
        }
    }
    Surroundings {
        host_name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        files,
        listening: listening(&Ephemeral::read()).ok(),
        devices: devices().ok(),
    }
}

fn is_elsewhere(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The devices of this host, and which of them `auto` selects.
fn devices() -> anyhow::Result<Vec<Device>> {
    let patterns = Patterns::parse(&["auto".to_owned()]).context("`auto` is a pattern")?;
    let present = host::present(&patterns)?;
    let chosen = patterns.select(&present, &std::collections::BTreeSet::new()).chosen;
    let is_chosen = |name: &str| chosen.iter().any(|interface| interface.name == name);
    Ok(present.into_iter().map(|device| Device { is_auto: is_chosen(&device.name), name: device.name }).collect())
}
