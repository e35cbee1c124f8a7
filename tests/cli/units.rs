//! The systemd units in the packages, as systemd itself judges them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::have_program;

const PACKAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging");

/// The highest exposure that `systemd-analyze security` may report for each unit, in tenths.
const EXPOSURE: [(&str, u32); 5] = [
    ("flow-agent.service", 21),
    ("flow-agent-frps-hooks.service", 16),
    ("flow-agent-notify.service", 15),
    ("flow-agent-report.service", 15),
    ("flow-agent-ship.service", 11),
];

#[test]
fn systemd_has_nothing_to_say_against_the_units_and_they_may_do_little() {
    if !have_program("systemd-analyze", "the units") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for entry in fs::read_dir(PACKAGING).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".service") && !name.ends_with(".timer") {
            continue;
        }
        // If the packages are not installed, the programs of the units do not exist.
        let text = fs::read_to_string(&path).unwrap();
        let mut present = text.replace("/usr/sbin/flow-agent ", "/bin/true ");
        for program in ["flow-agent-docker", "flow-agent-frps"] {
            present = present.replace(&format!("/usr/lib/flow-agent/{program}"), "/bin/true");
        }
        fs::write(directory.path().join(&name), present).unwrap();
        units.push(name);
    }
    assert!(units.len() >= 10, "{units:?}");
    for unit in &units {
        let said = analyze(directory.path(), &["verify", "--man=no"], unit);
        assert!(said.is_empty(), "{unit}: {said}");
    }
    for (unit, most) in EXPOSURE {
        analyze(directory.path(), &["security", "--offline=true", "--no-pager", &format!("--threshold={most}")], unit);
    }
}

/// Runs `systemd-analyze`, and returns what it prints on stderr.
fn analyze(directory: &Path, arguments: &[&str], unit: &str) -> String {
    let output = Command::new("systemd-analyze").args(arguments).arg(directory.join(unit)).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{unit} {arguments:?}: {stdout}{stderr}");
    stderr
}
