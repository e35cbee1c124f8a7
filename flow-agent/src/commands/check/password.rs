//! The files with passwords: whether they are kept from other users.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::finding::{Finding, Section};
use crate::config::Config;

/// A warning for each file with a password that everybody may read. If a file cannot be read at all, what needs it says so.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mail = config.mail.as_ref().and_then(|mail| mail.password_file.as_deref());
    let fleet = config.fleet.as_ref().and_then(|fleet| fleet.password_file.as_deref());
    let files = [(Section::Mail, mail), (Section::Fleet, fleet)];
    files.into_iter().filter_map(|(section, path)| exposed(section, path?)).collect()
}

fn exposed(section: Section, path: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(path).ok()?.mode();
    let shown = path.display();
    (mode & 0o007 != 0).then(|| {
        Finding::warn(section, format!("the password in `{shown}` is readable by everybody"))
            .help(format!("chmod o-rwx {shown}"))
    })
}

#[cfg(test)]
mod tests;
