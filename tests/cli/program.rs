//! The program, run to its end.

use std::ffi::OsStr;
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

/// The same as an ordinary user, also where the tests are run by root.
pub fn flow_agent_as_nobody<A: AsRef<OsStr>>(arguments: &[A]) -> Said {
    if !rustix::process::geteuid().is_root() {
        return flow_agent(arguments);
    }
    // Nobody may not look into root's directories: the program is put where everybody may run it.
    let directory = tempfile::Builder::new().prefix("flow-agent-cli").tempdir().unwrap();
    open_to_all(directory.path());
    let program = directory.path().join("flow-agent");
    std::fs::copy(PROGRAM, &program).unwrap();
    let identity = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--bounding-set=-all", "--"];
    run(Command::new("setpriv").args(identity).arg(program).args(arguments))
}

/// Lets everybody into `directory`.
pub fn open_to_all(directory: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
}

fn run(command: &mut Command) -> Said {
    for variable in ["RUST_LOG", "NO_COLOR", "JOURNAL_STREAM", "TZ"] {
        command.env_remove(variable);
    }
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}
