//! PURE: what has to change on a node before the main node's key can read `daily/`, and nothing else.

use std::fmt;
use std::path::{Path, PathBuf};

/// The gathering user, and the group that may read `daily/`.
pub const USER: &str = "flow";
/// The keys that may log in as that user. The file belongs to root: in a home directory of its own, the user could add
/// keys.
pub const KEYS: &str = "/etc/ssh/flow_keys";
/// The part of sshd's configuration about that user.
pub const SNIPPET: &str = "/etc/ssh/sshd_config.d/flow.conf";

/// Arguments of `useradd`. No input matches a password of `*`, but unlike `!` it does not mark the account as locked.
pub const USERADD: [&str; 10] = [
    "--system",
    "--user-group",
    "--home-dir",
    "/",
    "--no-create-home",
    "--shell",
    "/usr/sbin/nologin",
    "--password",
    "*",
    USER,
];

/// What creates the user where there is no `useradd` (busybox, as on Alpine): the programs, their arguments, and their
/// input. `adduser` locks the account, and an sshd without PAM rejects every key for a locked one.
pub const ADDUSER: [(&str, &[&str], &str); 3] = [
    ("addgroup", &["-S", USER], ""),
    ("adduser", &["-S", "-D", "-H", "-h", "/", "-s", "/sbin/nologin", "-G", USER, USER], ""),
    ("chpasswd", &["-e"], "flow:*\n"),
];

/// The programs with which accounts are created here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountTools {
    Useradd,
    Busybox,
}

/// Lets others pass through the top directory to the files that they may read.
pub const TOP_MODE: u32 = 0o751;
/// Makes new files belong to the directory's group.
const DAILY_MODE: u32 = 0o2750;

/// Owner, group and mode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
}

/// The present state of the node.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    pub state_dir: PathBuf,
    pub accounts: AccountTools,
    /// The group of the gathering user; `None` if there is no such user.
    pub gid: Option<u32>,
    /// `None` if the directory does not exist.
    pub top: Option<Owned>,
    pub daily: Option<Owned>,
    /// The groups of the files in `daily/`.
    pub groups: Vec<u32>,
    /// The contents of [`KEYS`] and [`SNIPPET`]; empty if they do not exist.
    pub keys: String,
    pub snippet: String,
}

/// One change, which is shown as the command that one would type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnrolStep {
    AddUser(AccountTools),
    Directory {
        path: PathBuf,
        group: &'static str,
        mode: u32,
    },
    /// Gives the files in this directory to the group.
    Regroup {
        path: PathBuf,
    },
    Write {
        path: &'static str,
        content: String,
        shown: String,
    },
}

/// The changes, in the order in which they are made; none if everything is as it should be.
pub fn plan(facts: &NodeFacts, key_line: &str) -> Vec<EnrolStep> {
    let daily = facts.state_dir.join("daily");
    let mut steps = Vec::new();
    if facts.gid.is_none() {
        steps.push(EnrolStep::AddUser(facts.accounts));
    }
    if facts.top != Some(Owned { uid: 0, gid: 0, mode: TOP_MODE }) {
        steps.push(EnrolStep::Directory { path: facts.state_dir.clone(), group: "root", mode: TOP_MODE });
    }
    if facts.daily.is_none() || facts.daily != facts.gid.map(|gid| Owned { uid: 0, gid, mode: DAILY_MODE }) {
        steps.push(EnrolStep::Directory { path: daily.clone(), group: USER, mode: DAILY_MODE });
    }
    if facts.groups.iter().any(|group| Some(*group) != facts.gid) {
        steps.push(EnrolStep::Regroup { path: daily });
    }
    let keys = with_key(&facts.keys, key_line);
    if keys != facts.keys {
        steps.push(EnrolStep::Write { path: KEYS, content: keys, shown: format!("{key_line}\n") });
    }
    let snippet = snippet(&facts.state_dir);
    if snippet != facts.snippet {
        steps.push(EnrolStep::Write { path: SNIPPET, content: snippet.clone(), shown: snippet });
    }
    steps
}

fn snippet(state_dir: &Path) -> String {
    format!(
        "Match User {USER}\n    AuthorizedKeysFile {KEYS}\n    ChrootDirectory {}\n    ForceCommand internal-sftp -R\n",
        state_dir.display()
    )
}

/// The lines that `sshd -T` prints about the user once the snippet is in force.
pub fn in_force(state_dir: &Path) -> [String; 3] {
    [
        format!("authorizedkeysfile {KEYS}"),
        format!("chrootdirectory {}", state_dir.display()),
        "forcecommand internal-sftp -R".to_owned(),
    ]
}

/// `keys` with `line` added, in the place of an earlier line with the same key.
fn with_key(keys: &str, line: &str) -> String {
    let blob = |line: &str| line.split_whitespace().find(|word| word.starts_with("AAAA")).map(str::to_owned);
    let others = keys.lines().filter(|other| other.starts_with('#') || blob(other) != blob(line));
    if keys.lines().any(|other| other == line) {
        return keys.to_owned();
    }
    others.chain([line]).flat_map(|line| [line, "\n"]).collect()
}

/// Whether the path can be written into sshd's configuration without quoting.
pub fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path
            .to_str()
            .is_some_and(|path| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)))
}

impl fmt::Display for EnrolStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddUser(AccountTools::Useradd) => {
                writeln!(f, "  useradd {}", USERADD.map(|word| if word == "*" { "'*'" } else { word }).join(" "))
            }
            Self::AddUser(AccountTools::Busybox) => ADDUSER.iter().try_for_each(|(program, arguments, input)| {
                let input = if input.is_empty() { String::new() } else { format!("echo '{}' | ", input.trim_end()) };
                writeln!(f, "  {input}{program} {}", arguments.join(" "))
            }),
            Self::Directory { path, group, mode } => {
                writeln!(f, "  install -d -o root -g {group} -m {mode:o} {}", path.display())
            }
            Self::Regroup { path } => writeln!(f, "  chgrp {USER} {}/*", path.display()),
            Self::Write { path, shown, .. } => {
                writeln!(f, "  in {path}:")?;
                shown.lines().try_for_each(|line| writeln!(f, "      {line}"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
