//! The program, run to its end.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flow-agent");

/// Who is nobody on every system.
const NOBODY: &str = "65534";

/// What it said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs it with `arguments`, in an environment that tells it nothing.
pub fn flow_agent<A: AsRef<OsStr>>(arguments: &[A]) -> Said {
    run(Command::new(PROGRAM).args(arguments))
}

/// The same at the UTC time `now`, such as `2026-11-27 08:23:30`, and with these variables.
pub fn flow_agent_at<A: AsRef<OsStr>>(now: &str, arguments: &[A], environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new("faketime");
    command.arg(now).args(["env", "TZ=UTC"]);
    command.args(environment.iter().map(|(name, value)| format!("{name}={value}")));
    run(command.arg(PROGRAM).args(arguments).env("TZ", "UTC"))
}

/// The same as an ordinary user, also where the tests are run by root.
pub fn flow_agent_as_nobody<A: AsRef<OsStr>>(arguments: &[A]) -> Said {
    if !rustix::process::geteuid().is_root() {
        return flow_agent(arguments);
    }
    // Nobody may not look into root's directories: the program is put where everybody may run it.
    let directory = tempfile::Builder::new().prefix("flow-agent-cli").tempdir().unwrap();
    open_to_all(directory.path());
    let program = directory.path().join("flow-agent");
    // By another process: a program that this one holds open for writing, even in a child of another test that has not
    // called exec(2) yet, cannot be started.
    assert!(Command::new("cp").args([Path::new(PROGRAM), &program]).status().unwrap().success());
    let identity = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--bounding-set=-all", "--"];
    run(Command::new("setpriv").args(identity).arg(program).args(arguments))
}

/// Lets everybody into `directory`.
pub fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
}

fn run(command: &mut Command) -> Said {
    for variable in ["RUST_LOG", "NO_COLOR", "JOURNAL_STREAM", "COLUMNS", "LANG", "LC_ALL", "LC_CTYPE"] {
        command.env_remove(variable);
    }
    // The time zone of the system, unless the test sets one.
    if !command.get_envs().any(|(name, _)| name == "TZ") {
        command.env_remove("TZ");
    }
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}
