//! EDGE files and processes: the account, the directories and the sshd of a node.
#![expect(clippy::disallowed_methods, reason = "edge: files, processes")]

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, lchown};
use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::plan::{
    ADDUSER, AccountTools, EnrolStep, KEYS, NodeFacts, Owned, SNIPPET, USER, USERADD, in_force, is_plain,
};
use crate::exit::{Code, Failure};
use crate::process;
use crate::store::disk::{RealDisk, replace};

const SSHD: &str = "/usr/sbin/sshd";

/// # Errors
/// When this is not root, or no sshd is installed.
pub(super) fn require() -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new(Code::Kernel, anyhow!("only root can change accounts and sshd's configuration"))
            .help("run this as root"));
    }
    if !Path::new(SSHD).exists() {
        return Err(Failure::new(Code::Kernel, anyhow!("{SSHD} does not exist")).help("install openssh-server"));
    }
    Ok(())
}

/// sshd confines users only to a directory that, like every directory on the way to it, only root can change.
///
/// # Errors
/// When somebody else can.
pub(super) fn check_way_to(state_dir: &Path) -> Result<(), Failure> {
    let refused = |what: String, help: &str| Err(Failure::new(Code::Store, anyhow!(what)).help(help));
    if !is_plain(state_dir) {
        let what = format!("`{}` cannot be named in sshd's configuration", state_dir.display());
        return refused(what, "use a state_dir of letters, digits, dots, hyphens and underscores");
    }
    for directory in state_dir.ancestors().skip(1) {
        let Some(Owned { uid, mode, .. }) = owned(directory)? else { continue };
        if uid != 0 || mode & 0o022 != 0 {
            let what = format!("users other than root can change `{}` (uid {uid}, mode {mode:o})", directory.display());
            return refused(
                what,
                "sshd refuses a chroot below such a directory: use chown root and chmod go-w, or another state_dir",
            );
        }
    }
    Ok(())
}

/// Examines the present state of the node.
///
/// # Errors
/// When something cannot be read, or when the user exists and is root.
pub(super) fn facts(state_dir: &Path) -> Result<NodeFacts, Failure> {
    let daily = state_dir.join("daily");
    let mut groups = Vec::new();
    if daily.is_dir() {
        for entry in listed(&daily)? {
            groups.push(entry.metadata().with_context(|| failed("read", &entry.path())).map_err(store)?.gid());
        }
    }
    Ok(NodeFacts {
        state_dir: state_dir.to_owned(),
        accounts: account_tools(),
        gid: gid()?,
        top: owned(state_dir)?,
        daily: owned(&daily)?,
        groups,
        keys: read_or_empty(KEYS)?,
        snippet: read_or_empty(SNIPPET)?,
    })
}

/// Makes one change.
///
/// # Errors
/// When it cannot be made.
pub(super) fn apply(step: &EnrolStep) -> Result<(), Failure> {
    match step {
        EnrolStep::AddUser(AccountTools::Useradd) => run("useradd", &USERADD).map(drop),
        EnrolStep::AddUser(AccountTools::Busybox) => ADDUSER
            .into_iter()
            .try_for_each(|(program, arguments, input)| run_with(program, arguments, input).map(drop)),
        EnrolStep::Directory { path, group, mode } => {
            let gid = if *group == USER { need_gid()? } else { 0 };
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            // Changing the owner clears the set-group-ID bit, so the mode comes last.
            let made = made
                .and_then(|()| chown(path, Some(0), Some(gid)))
                .and_then(|()| fs::set_permissions(path, Permissions::from_mode(*mode)));
            made.with_context(|| failed("prepare", path)).map_err(store)
        }
        EnrolStep::Regroup { path } => {
            let gid = need_gid()?;
            for entry in listed(path)? {
                lchown(entry.path(), None, Some(gid))
                    .with_context(|| failed("regroup", &entry.path()))
                    .map_err(store)?;
            }
            Ok(())
        }
        EnrolStep::Write { path, content, .. } => write(Path::new(path), content),
    }
}

/// Lets sshd check its configuration and load it. Returns warnings about what may still keep the user out.
///
/// # Errors
/// When sshd rejects its configuration (our part of it is then removed), or does not use our part.
pub(super) fn put_in_force(state_dir: &Path, steps: &[EnrolStep]) -> Result<Vec<String>, Failure> {
    // Debian's sshd does not even check its configuration without this directory, which only a running sshd creates.
    if let Err(error) = DirBuilder::new().recursive(true).mode(0o755).create("/run/sshd") {
        tracing::debug!(%error, "failed to create /run/sshd");
    }
    if let Err(failure) = run(SSHD, &["-t"]) {
        if steps.iter().any(|step| matches!(step, EnrolStep::Write { path: SNIPPET, .. })) {
            fs::remove_file(SNIPPET).with_context(|| failed("remove", Path::new(SNIPPET))).map_err(store)?;
        }
        return Err(Failure { code: Code::Config, ..failure }
            .help(format!("{SNIPPET} was removed; fix sshd's configuration, and run this again")));
    }
    let said = run(SSHD, &["-T", "-C", &format!("user={USER},host=localhost,addr=127.0.0.1")])?;
    let said: Vec<&str> = said.lines().map(str::trim).collect();
    if let Some(missing) = in_force(state_dir).iter().find(|line| !said.contains(&line.as_str())) {
        return Err(Failure::new(Code::Config, anyhow!("sshd does not use {SNIPPET}: `sshd -T` has no `{missing}`"))
            .help(
                "write `Include /etc/ssh/sshd_config.d/*.conf` at the top of /etc/ssh/sshd_config, and run this again",
            ));
    }
    let mut warnings = Vec::new();
    let restricts = |line: &&&str| ["allowusers ", "allowgroups "].iter().any(|option| line.starts_with(option));
    let restricting: Vec<_> = said.iter().filter(restricts).collect();
    if !restricting.is_empty() && !restricting.iter().any(|line| line.split(' ').nth(1) == Some(USER)) {
        warnings.push(format!("sshd allows only certain users or groups: add `{USER}` to AllowUsers or AllowGroups"));
    }
    warnings.extend(reload());
    Ok(warnings)
}

/// Busybox has no `useradd`.
fn account_tools() -> AccountTools {
    let is_installed = ["/usr/sbin/useradd", "/sbin/useradd", "/usr/local/sbin/useradd"];
    match is_installed.iter().any(|path| Path::new(path).exists()) || !Path::new("/usr/sbin/adduser").exists() {
        true => AccountTools::Useradd,
        false => AccountTools::Busybox,
    }
}

/// Returns a warning if sshd could not be reloaded. An sshd that a socket starts reads its configuration for each
/// connection.
fn reload() -> Option<String> {
    let is_systemd = Path::new("/run/systemd/system").is_dir();
    // OpenRC: the service has to run to be reloaded.
    if !is_systemd && run("rc-service", &["sshd", "status"]).is_ok() {
        let reloaded = run("rc-service", &["sshd", "reload"]);
        return reloaded.err().map(|failure| format!("sshd was not reloaded: {}", failure.error));
    }
    let systemctl = |arguments: &[&str]| run("systemctl", arguments);
    for unit in ["ssh.service", "sshd.service"] {
        if systemctl(&["is-active", "--quiet", unit]).is_ok() {
            let reloaded = systemctl(&["reload", unit]);
            return reloaded.err().map(|failure| format!("sshd was not reloaded: {}", failure.error));
        }
    }
    match systemctl(&["is-active", "--quiet", "ssh.socket"]) {
        Ok(_) => None,
        Err(_) => Some("sshd was not reloaded: if it is running, reload it yourself".to_owned()),
    }
}

/// The host key that the main node will show for confirmation.
pub(super) fn host_key() -> String {
    match run("ssh-keygen", &["-lf", "/etc/ssh/ssh_host_ed25519_key.pub"]) {
        Ok(said) => said.trim().to_owned(),
        Err(_) => "what `ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` says".to_owned(),
    }
}

/// # Errors
/// When the file cannot be read.
pub(super) fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
}

fn read_or_empty(path: &str) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other.with_context(|| failed("read", Path::new(path))).map_err(store),
    }
}

fn write(path: &Path, content: &str) -> Result<(), Failure> {
    let directory = path.parent().expect("both files lie in a directory");
    let written = DirBuilder::new().recursive(true).mode(0o755).create(directory);
    // sshd reads the keys with the rights of the user who logs in.
    let written = written
        .and_then(|()| replace(&RealDisk, path, content.as_bytes()))
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o644)));
    written.with_context(|| failed("write", path)).map_err(store)
}

fn owned(path: &Path) -> Result<Option<Owned>, Failure> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(Owned { uid: found.uid(), gid: found.gid(), mode: found.mode() & 0o7777 })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| failed("inspect", path)).map_err(store),
    }
}

fn listed(directory: &Path) -> Result<Vec<fs::DirEntry>, Failure> {
    let listed = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    listed.with_context(|| failed("list", directory)).map_err(store)
}

/// The group of the gathering user.
fn gid() -> Result<Option<u32>, Failure> {
    // Users may also come from a directory service, which getent includes.
    let Ok(line) = run("getent", &["passwd", USER]) else { return Ok(None) };
    let fields: Vec<&str> = line.trim().split(':').collect();
    match (fields.get(2), fields.get(3).and_then(|gid| gid.parse().ok())) {
        (Some(&"0"), _) => Err(Failure::new(Code::Config, anyhow!("user `{USER}` is root"))
            .help(format!("remove that account: `{USER}` must only be able to read the daily logs"))),
        (Some(_), Some(gid)) => Ok(Some(gid)),
        _ => Err(Failure::from(anyhow!("getent returned {line:?} for user `{USER}`"))),
    }
}

fn need_gid() -> Result<u32, Failure> {
    gid()?.ok_or_else(|| Failure::from(anyhow!("user `{USER}` does not exist, although it was created")))
}

fn failed(action: &str, path: &Path) -> String {
    format!("failed to {action} `{}`", path.display())
}

fn store(error: anyhow::Error) -> Failure {
    Failure::new(Code::Store, error)
}

/// The program's output. If it fails, its error output becomes the text of the failure.
fn run(program: &str, arguments: &[&str]) -> Result<String, Failure> {
    run_with(program, arguments, "")
}

fn run_with(program: &str, arguments: &[&str], input: &str) -> Result<String, Failure> {
    let output = process::run(Path::new(program), arguments, input).map_err(anyhow::Error::from)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let error = if output.stderr.is_empty() { anyhow!("{}", output.status) } else { anyhow!("{}", output.stderr) };
    Err(Failure::from(error.context(format!("`{program} {}` failed", arguments.join(" ")))))
}
