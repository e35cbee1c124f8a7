//! Runs the program to its end.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flow-agent");

/// The user id of `nobody` on every system.
const NOBODY: &str = "65534";

/// Its output and exit code.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs it with `arguments`, in an environment that does not influence it.
pub fn flow_agent<A: AsRef<OsStr>>(arguments: &[A]) -> Said {
    run(Command::new(PROGRAM).args(arguments))
}

/// Runs it at the UTC time `now`, such as `2026-11-27 08:23:30`, with these environment variables.
pub fn flow_agent_at<A: AsRef<OsStr>>(now: &str, arguments: &[A], environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new("faketime");
    command.arg(now).args(["env", "TZ=UTC"]);
    command.args(environment.iter().map(|(name, value)| format!("{name}={value}")));
    run(command.arg(PROGRAM).args(arguments).env("TZ", "UTC"))
}

/// Runs it as an ordinary user, even if the tests are run by root.
pub fn flow_agent_as_nobody<A: AsRef<OsStr>>(arguments: &[A]) -> Said {
    if !rustix::process::geteuid().is_root() {
        return flow_agent(arguments);
    }
    // An ordinary user cannot enter root's directories, so the program is copied to where everybody can run it.
    let directory = tempfile::Builder::new().prefix("flow-agent-cli").tempdir().unwrap();
    open_to_all(directory.path());
    let program = directory.path().join("flow-agent");
    // Copied by another process: a program that this process has open for writing cannot be started, not even if it is
    // only open in a child of another test that has not called exec(2) yet.
    assert!(Command::new("cp").args([Path::new(PROGRAM), &program]).status().unwrap().success());
    let identity = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--bounding-set=-all", "--"];
    run(Command::new("setpriv").args(identity).arg(program).args(arguments))
}

/// Gives everybody access to `directory`.
pub fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
}

fn run(command: &mut Command) -> Said {
    for variable in ["RUST_LOG", "NO_COLOR", "JOURNAL_STREAM", "COLUMNS", "LANG", "LC_ALL", "LC_CTYPE"] {
        command.env_remove(variable);
    }
    // Use the time zone of the system, unless the test sets one.
    if !command.get_envs().any(|(name, _)| name == "TZ") {
        command.env_remove("TZ");
    }
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}
