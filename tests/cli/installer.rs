//! Runs the tarball's `install.sh` in a root directory of the test's own, with every POSIX shell on this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const PACKAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/tarball");

/// Every file and every empty directory in a directory tree, with its mode.
fn files(root: &Path) -> Vec<(PathBuf, u32)> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && fs::read_dir(&path).unwrap().next().is_some() {
                directories.push(path);
            } else {
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                files.push((path.strip_prefix(root).unwrap().to_owned(), mode));
            }
        }
    }
    files.sort();
    files
}

fn put(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// An unpacked tarball like those of `cargo xtask dist`.
fn tarball() -> TempDir {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    for (from, to) in [("install.sh", "install.sh"), ("flow-agent.openrc", "openrc/flow-agent")] {
        put(&path(to), &fs::read_to_string(Path::new(PACKAGING).join(from)).unwrap(), 0o755);
    }
    put(&path("usr/sbin/flow-agent"), "the program", 0o755);
    put(&path("etc/flow-agent/config.toml"), "# default\n", 0o640);
    directory
}

#[test]
fn the_installer_shows_what_it_does_and_undoes_it() {
    for shell in [&["sh"][..], &["busybox", "sh"], &["dash"], &["bash"]] {
        if Command::new(shell[0]).arg("-c").arg("true").output().is_err() {
            eprintln!("SKIPPED: there is no {}", shell[0]);
            continue;
        }
        let (tarball, root) = (tarball(), TempDir::new().unwrap());
        let run = |arguments: &[&str]| {
            let mut command = Command::new(shell[0]);
            command.args(&shell[1..]).arg(tarball.path().join("install.sh")).args(arguments);
            let output = command.arg("--root").arg(root.path()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            (output.status.code(), said.into_owned())
        };
        // This root has OpenRC installed.
        put(&root.path().join("sbin/openrc-run"), "", 0o755);
        // The program's directory exists already, and stays although it is empty.
        fs::create_dir_all(root.path().join("usr/sbin")).unwrap();
        let before = files(root.path());

        let (code, said) = run(&["--dry-run"]);
        assert_eq!(code, Some(0), "{shell:?}: {said}");
        assert!(said.contains("/usr/sbin/flow-agent\n") && said.contains("/etc/init.d/flow-agent\n"), "{said}");
        assert_eq!(files(root.path()), before, "{shell:?}: a dry run changes nothing");

        let (code, said) = run(&["--yes"]);
        assert_eq!(code, Some(0), "{shell:?}: {said}");
        assert!(said.contains("Next: flow-agent init --write, "), "{said}");
        let installed = [
            ("etc/flow-agent/config.toml", 0o640),
            ("etc/init.d/flow-agent", 0o755),
            ("sbin/openrc-run", 0o755),
            ("usr/lib/flow-agent/installed-files", 0o644),
            ("usr/sbin/flow-agent", 0o755),
        ];
        assert_eq!(files(root.path()), installed.map(|(path, mode)| (path.into(), mode)), "{shell:?}");

        // The operator's own file is kept, both by an upgrade and by the removal.
        let config = root.path().join("etc/flow-agent/config.toml");
        fs::write(&config, "mine").unwrap();
        let (code, said) = run(&["--yes"]);
        assert!(code == Some(0) && !said.contains("flow-agent init"), "{shell:?}: {said}");
        assert_eq!(fs::read_to_string(&config).unwrap(), "mine");
        let (code, said) = run(&["--uninstall", "--yes"]);
        assert_eq!(code, Some(0), "{shell:?}: {said}");
        let left = [("etc/flow-agent/config.toml", 0o640), ("sbin/openrc-run", 0o755), ("usr/sbin", 0o755)];
        assert_eq!(files(root.path()), left.map(|(path, mode)| (path.into(), mode)), "{shell:?}");

        let (code, said) = run(&["--uninstall", "--yes"]);
        assert!(code == Some(1) && said.contains("was not installed by this script"), "{shell:?}: {said}");
        assert_eq!(run(&["--what"]).0, Some(2));
    }
}
