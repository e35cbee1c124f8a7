//! PURE: combines the configuration, the files and the sockets into the ports that are to be counted, with their
//! owners.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::content::{PortFileContent, Problem};
use super::ephemeral::Ephemeral;
use super::file::PortFileError;
use super::listening::ListeningError;
use super::{Complaint, Detail, MAX_PORTS, PortFile, PortFileFormat, PortOwners, PortsConfig, spec};
use crate::ledger::units;
use crate::ledger::user::User;

/// The sources of ports, as they were found.
pub struct Sources<'a> {
    /// The name of this node: users of other nodes are left out.
    pub node: &'a str,
    pub config: &'a PortsConfig,
    pub users: &'a [User],
    /// `count.max_ports`.
    pub max_ports: u32,
    /// Every file of `config` with its present contents.
    pub files: Vec<(PathBuf, Result<PortFileContent, PortFileError>)>,
    /// The contents of every file when it was last good.
    pub last_good: &'a BTreeMap<PathBuf, PortOwners>,
    /// A file that could never be read adds nothing, and is no error: whoever counts already must go on with what the
    /// other sources say.
    pub may_lack_files: bool,
    /// The ports with listeners; empty unless `config` asks for them.
    pub listening: BTreeSet<u16>,
    pub ephemeral: &'a Ephemeral,
}

/// What is to be counted.
#[derive(Debug)]
pub struct Wanted {
    pub ports: PortOwners,
    /// The ports among them on which something listens; empty unless the configuration asks for them.
    pub listening: BTreeSet<u16>,
    /// The contents of every file when it was last good, to be used while it is not.
    pub files: BTreeMap<PathBuf, PortOwners>,
    /// How each file was found, in the order of the configuration.
    pub sources: Vec<SourceReport>,
    /// What the files say about ports besides their owners; for each port, the first file that says something applies.
    pub details: BTreeMap<u16, Detail>,
    pub warnings: Vec<Warning>,
}

impl Wanted {
    /// Whether to look at a file again soon although nothing reports a change.
    pub fn is_unsettled(&self) -> bool {
        self.sources.iter().any(|source| source.is_last_good || source.is_lacking)
    }
}

/// How a port file was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceReport {
    pub path: PathBuf,
    /// Whether its last good list was used instead.
    pub is_last_good: bool,
    /// Whether it could never be read, and adds nothing.
    pub is_lacking: bool,
    pub ports: usize,
    /// How many different owners the ports have.
    pub owners: usize,
    pub complaints: usize,
    pub modified_at: Option<SystemTime>,
}

impl SourceReport {
    /// The report on a file that could be read.
    pub fn new(path: PathBuf, found: &PortFileContent) -> Self {
        Self {
            path,
            is_last_good: false,
            is_lacking: false,
            ports: found.listed.owners.len(),
            owners: found.listed.owners.values().flatten().collect::<BTreeSet<_>>().len(),
            complaints: found.listed.complaint_count(),
            modified_at: found.modified_at,
        }
    }

    /// The report on a file that could never be read.
    fn lacking(path: PathBuf) -> Self {
        Self { path, is_last_good: false, is_lacking: true, ports: 0, owners: 0, complaints: 0, modified_at: None }
    }
}

/// What a person should look at; counting continues.
#[derive(Debug, thiserror::Error)]
pub enum Warning {
    #[error("{}: keeping its last good list of {}", unread(error), units::count(*ports, "port"))]
    FileUnread { ports: usize, error: PortFileError },
    #[error("{}: its ports are not counted until it can be read", unread(error))]
    FileLacking { error: PortFileError },
    #[error("`{}`: {complaint}", path.display())]
    Complaint { path: PathBuf, complaint: Complaint },
    #[error("`{}`: {} more like this", path.display(), units::count(*more, "complaint"))]
    MoreComplaints { path: PathBuf, more: usize },
    #[error("port {port} is counted for {owner:?}, although `{}` says that it belongs to {other:?}", path.display())]
    Disputed { port: u16, owner: String, other: String, path: PathBuf },
    /// The traffic of an outgoing connection that happens to get one of these ports is billed to the port's owner.
    #[error(
        "outgoing connections may use {}, and are then counted there; to reserve them: sysctl -w {sysctl}",
        ports_text(ports)
    )]
    Ephemeral {
        ports: BTreeSet<u16>,
        /// `net.ipv4.ip_local_reserved_ports=…`, including the ports that are reserved already.
        sysctl: String,
    },
}

/// Why it cannot be decided what to count.
#[derive(Debug, thiserror::Error)]
pub enum WantedError {
    /// There is no last good list either, because this is the first start.
    #[error(transparent)]
    File(#[from] PortFileError),
    #[error(transparent)]
    Listening(#[from] ListeningError),
    #[error("{wanted} ports should be counted, but `max_ports` is {max_ports}")]
    TooMany { wanted: usize, max_ports: u32 },
    #[error("no ports to count, and no port file or `listening` that could add any")]
    Nothing,
}

impl WantedError {
    /// What the reader can do about it.
    pub fn help(&self) -> String {
        match self {
            Self::File(_) => "fix the file, or remove it from `ports.files`".to_owned(),
            Self::Listening(_) => "mount /proc, and make it readable for this user".to_owned(),
            Self::TooMany { max_ports: MAX_PORTS.., .. } => {
                format!("watch fewer ports; `count.max_ports` cannot be raised above {MAX_PORTS}")
            }
            Self::TooMany { .. } => "watch fewer ports, or raise `count.max_ports`".to_owned(),
            Self::Nothing => {
                "name ports with --ports or in `ports.watch`, a file in `ports.files`, or set `ports.listening`"
                    .to_owned()
            }
        }
    }
}

/// Combines the sources. If several name an owner for a port, `[[users]]` comes first, then the files in their order.
///
/// # Errors
/// When a file cannot be read and never could (unless [`Sources::may_lack_files`]), or when there are too many ports to count, or none at all.
pub fn wanted(sources: Sources<'_>) -> Result<Wanted, WantedError> {
    let mut warnings = Vec::new();
    let mut ports: PortOwners = sources.config.watch.iter().map(|port| (*port, None)).collect();
    ports.extend(sources.listening.iter().map(|port| (*port, None)));
    let here = |user: &&User| user.is_on(sources.node);
    for user in sources.users.iter().filter(here) {
        ports.extend(user.ports.iter().map(|port| (*port, Some(user.name.clone()))));
    }
    let is_static = sources.config.files.is_empty() && !sources.config.listening;
    let (mut files, mut reports, mut details) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    for (path, listed) in sources.files {
        let (owners, complaints, modified_at) = match listed {
            Ok(PortFileContent { mut listed, modified_at }) => {
                listed.complaints.retain(|complaint| !is_answered(complaint, &path, &sources.config.files));
                let complaints = listed.complaint_count();
                let each = |complaint| Warning::Complaint { path: path.clone(), complaint };
                warnings.extend(listed.complaints.into_iter().map(each));
                if listed.more_complaints > 0 {
                    warnings.push(Warning::MoreComplaints { path: path.clone(), more: listed.more_complaints });
                }
                for (port, detail) in listed.details {
                    details.entry(port).or_insert(detail);
                }
                (listed.owners, Some(complaints), modified_at)
            }
            Err(error) => match sources.last_good.get(&path) {
                Some(owners) => {
                    warnings.push(Warning::FileUnread { ports: owners.len(), error });
                    (owners.clone(), None, None)
                }
                None if sources.may_lack_files => {
                    warnings.push(Warning::FileLacking { error });
                    reports.push(SourceReport::lacking(path));
                    continue;
                }
                None => return Err(error.into()),
            },
        };
        reports.push(SourceReport {
            path: path.clone(),
            is_last_good: complaints.is_none(),
            is_lacking: false,
            ports: owners.len(),
            owners: owners.values().flatten().collect::<BTreeSet<_>>().len(),
            complaints: complaints.unwrap_or_default(),
            modified_at,
        });
        merge(&mut ports, &owners, &path, &mut warnings);
        files.insert(path, owners);
    }
    if ports.is_empty() && is_static {
        return Err(WantedError::Nothing);
    }
    if ports.len() > sources.max_ports as usize {
        return Err(WantedError::TooMany { wanted: ports.len(), max_ports: sources.max_ports });
    }
    warnings.extend(ephemeral_warning(ports.keys().copied(), sources.ephemeral));
    Ok(Wanted { ports, listening: sources.listening, files, sources: reports, details, warnings })
}

/// Whether a complaint is about files that another source reads.
fn is_answered(complaint: &Complaint, path: &Path, files: &[PortFile]) -> bool {
    let Complaint::Include { pattern, .. } = complaint else { return false };
    // A relative pattern begins at the folder of the main file. A source that is a folder usually lies in that one.
    let bases = [path.parent().unwrap_or(Path::new("/")), path];
    bases.into_iter().any(|base| {
        let pattern = base.join(pattern);
        let has_name_pattern = pattern.file_name().is_some_and(|name| name.to_string_lossy().contains('*'));
        let included = if has_name_pattern { pattern.parent().unwrap_or(base) } else { &pattern };
        files.iter().any(|file| file.format == PortFileFormat::Nginx && file.path == included && file.path != path)
    })
}

fn merge(ports: &mut PortOwners, owners: &PortOwners, path: &Path, warnings: &mut Vec<Warning>) {
    for (port, other) in owners {
        match (ports.entry(*port).or_default(), other) {
            (Some(owner), Some(other)) if owner != other => {
                let (owner, other) = (owner.clone(), other.clone());
                warnings.push(Warning::Disputed { port: *port, owner, other, path: path.to_owned() });
            }
            (owner @ None, Some(other)) => *owner = Some(other.clone()),
            (Some(_), Some(_)) | (_, None) => {}
        }
    }
}

/// Warns of ports that the kernel may use for outgoing connections.
pub fn ephemeral_warning(ports: impl Iterator<Item = u16>, ephemeral: &Ephemeral) -> Option<Warning> {
    let ports: BTreeSet<u16> = ports.filter(|port| ephemeral.may_take(*port)).collect();
    if ports.is_empty() {
        return None;
    }
    let reserved = spec::text(ports.union(&ephemeral.reserved).copied());
    Some(Warning::Ephemeral { ports, sysctl: format!("net.ipv4.ip_local_reserved_ports={reserved}") })
}

fn ports_text(ports: &BTreeSet<u16>) -> String {
    let text = spec::text(ports.iter().copied());
    if ports.len() == 1 { format!("port {text}") } else { format!("ports {text}") }
}

/// Why a file is not used. One that shrank was read.
fn unread(error: &PortFileError) -> String {
    match &error.source {
        shrunk @ Problem::Shrunk { .. } => format!("`{}`: {shrunk}", error.path.display()),
        _ => problem(error),
    }
}

/// The error and its causes on one line.
fn problem(error: &PortFileError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
