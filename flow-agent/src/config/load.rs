//! EDGE files and environment: finds and reads the configuration, and the system's values for what it leaves open.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use chrono_tz::Tz;

use super::check::{self, Source, System, SystemZone};
use super::encoding::{self, NotText};
use super::error::{ConfigError, Positions};
use super::{Config, file, users, users_csv};
use crate::gather::NodeSource;

/// The file that is read if no other is named and this one exists.
pub const DEFAULT_PATH: &str = "/etc/flow-agent/config.toml";

/// The maximum size of a configuration. Parsing takes about thirty times the memory of its text.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// The maximum size of a users file: about a million users.
const MAX_USERS_BYTES: u64 = 64 << 20;

/// The message about a users file whose encoding is not recognized.
const SAVE_AS_UTF8: &str = "neither UTF-8 nor clearly GB18030; save it as \"CSV UTF-8\"";

/// Reads the configuration at `path` or, without a path, that at [`DEFAULT_PATH`]. If neither is given, returns the
/// defaults, with which every port is watched that has a listener. `state_dir` overrides the value of the file.
///
/// # Errors
/// When a file cannot be read, or anything in it is not valid: nothing is guessed or skipped.
pub fn load(path: Option<&Path>, state_dir: Option<&Path>) -> Result<Config, ConfigError> {
    let mut config = match path {
        Some(path) => parse(&absolute(path)?, &read(path)?)?,
        None => match read(Path::new(DEFAULT_PATH)) {
            Ok(text) => parse(Path::new(DEFAULT_PATH), &text)?,
            Err(ConfigError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => without_file()?,
            Err(error) => return Err(error),
        },
    };
    if let Some(state_dir) = state_dir {
        let configured = std::mem::replace(&mut config.state_dir, absolute(state_dir)?);
        // A local node without a directory of its own uses that of this machine.
        let local = config.nodes.iter_mut().filter(|node| node.source == NodeSource::Local);
        for node in local.filter(|node| node.state_dir == configured) {
            node.state_dir.clone_from(&config.state_dir);
        }
    }
    reload_users(&config)
}

/// `config` with the users that its `users_file` holds now.
///
/// # Errors
/// When the file cannot be read, one of its lines is wrong, or one of its users conflicts with another. `config`
/// remains valid.
pub fn reload_users(config: &Config) -> Result<Config, ConfigError> {
    let (from_file, users_encoding) = match &config.users_file {
        Some(path) => {
            let bytes = read_bytes(path, MAX_USERS_BYTES)?;
            let decoded = encoding::decode(&bytes).map_err(|error| not_text(path, &bytes, error, SAVE_AS_UTF8))?;
            (users_csv::from_csv(path, &decoded.text)?, decoded.encoding)
        }
        None => (Vec::new(), None),
    };
    let users = users::merge(&config.declared, &from_file)?;
    Ok(Config { users, users_encoding, ..config.clone() })
}

fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    check::check(file::read(path, text)?, &Source::new(path, text), &system())
}

fn without_file() -> Result<Config, ConfigError> {
    let mut config = parse(Path::new(DEFAULT_PATH), "")?;
    config.path = None;
    config.ports.listening = true;
    Ok(config)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    String::from_utf8(read_bytes(path, MAX_CONFIG_BYTES)?).map_err(|error| {
        let valid_up_to = error.utf8_error().valid_up_to();
        not_text(path, error.as_bytes(), NotText { valid_up_to }, "not UTF-8, expected text in UTF-8")
    })
}

/// The content of `path`. At most `max_bytes` are read, whatever the file's metadata says, because it may be a pipe.
fn read_bytes(path: &Path, max_bytes: u64) -> Result<Vec<u8>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(max_bytes + 1).read_to_end(&mut bytes)).map_err(failed)?;
    match bytes.len() as u64 > max_bytes {
        true => Err(ConfigError::TooLarge { path: path.to_owned(), max_bytes }),
        false => Ok(bytes),
    }
}

fn not_text(path: &Path, bytes: &[u8], NotText { valid_up_to }: NotText, message: &str) -> ConfigError {
    let before = String::from_utf8_lossy(&bytes[..valid_up_to]);
    let end = before.len();
    ConfigError::Value { place: Positions::new(path, &before).of(end), message: message.to_owned() }
}

fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

fn system() -> System {
    System { host_name: rustix::system::uname().nodename().to_string_lossy().into_owned(), zone: system_zone() }
}

fn system_zone() -> SystemZone {
    match iana_time_zone::get_timezone() {
        Ok(name) => name.parse().map_or(SystemZone::Unknown(name), SystemZone::Known),
        // A system without any zone is in UTC, as its C library assumes as well.
        Err(_) if !Path::new("/etc/localtime").exists() => SystemZone::Known(Tz::UTC),
        Err(_) => SystemZone::Unnamed,
    }
}
