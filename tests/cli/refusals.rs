//! Bad input gets a clear message and the documented exit code, and nothing is started.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::program::{Said, flow_agent, flow_agent_as_nobody, open_to_all};

/// A directory that everybody may use, with a configuration in it.
struct Place(TempDir);

impl Place {
    fn with(config: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("flow-agent-cli").tempdir().unwrap();
        open_to_all(directory.path());
        let place = Self(directory);
        fs::write(place.path("config.toml"), format!("node = \"hk-1\"\ntimezone = \"UTC\"\n{config}")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn arguments(&self) -> [PathBuf; 5] {
        let (config, state) = (self.path("config.toml"), self.path("state"));
        ["run".into(), "--config".into(), config, "--state-dir".into(), state]
    }

    fn run(&self) -> Said {
        self.without_path(flow_agent(&self.arguments()))
    }

    fn run_as_nobody(&self) -> Said {
        self.without_path(flow_agent_as_nobody(&self.arguments()))
    }

    fn without_path(&self, mut said: Said) -> Said {
        said.stderr = said.stderr.replace(&format!("{}/", self.0.path().display()), "");
        said
    }
}

#[track_caller]
fn refused(said: &Said, code: i32, text: &str) {
    assert_eq!((said.stderr.as_str(), said.code), (text, Some(code)));
    assert_eq!(said.stdout, "");
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let place = Place::with("[count]\nbukcet = \"1h\"\n");
    let text = "error: config.toml:4:1: unknown key `bukcet`\n  help: did you mean `bucket`?\n";
    refused(&place.run(), 3, text);
    assert!(!place.path("state").exists(), "something was begun");
}

#[test]
fn port_70000_is_refused_with_its_line() {
    let place = Place::with("[ports]\nwatch = [\n  443,\n  70000,\n]\n");
    refused(
        &place.run(),
        3,
        "error: config.toml:6:3: `ports.watch`: port 70000 is out of range, expected 1 to 65535\n",
    );
}

#[test]
fn overlapping_users_are_refused_with_both_lines() {
    let place = Place::with(
        "[[users]]\nname = \"one\"\nports = [8388]\n\n[[users]]\nname = \"two\"\nports = [\"8000-9000\"]\n",
    );
    let text = "error: config.toml:9:10: port 8388 belongs to `two` here and to `one` at config.toml:5:10, \
                on every node\n  help: give each port to one user, or keep the users apart with `nodes`\n";
    refused(&place.run(), 3, text);
}

#[test]
fn a_configuration_or_users_file_that_is_too_large_is_refused_before_it_is_parsed() {
    let place = Place::with("");
    let brackets = "[".repeat((4 << 20) + 1);
    fs::write(place.path("config.toml"), format!("x = {brackets}")).unwrap();
    let help = "\n  help: check that this is the right file\n";
    refused(&place.run(), 3, &format!("error: `config.toml` is larger than 4 MiB{help}"));

    let place = Place::with("users_file = \"users.csv\"\n");
    // The file takes no space on the disk.
    fs::File::create(place.path("users.csv")).unwrap().set_len((64 << 20) + 1).unwrap();
    refused(&place.run(), 3, &format!("error: `users.csv` is larger than 64 MiB{help}"));
}

#[test]
fn a_state_directory_of_a_node_that_a_shell_would_not_take_literally_is_refused() {
    for path in [
        "/var/$(reboot)",
        "/var/`reboot`",
        "/var/a\\nb",
        "/var/a b",
        "/var/'a",
        "/var/*",
        "/var/{a,b}",
        "~/a",
        "-a",
        "",
    ] {
        let place = Place::with(&format!("[[nodes]]\nname = \"sg-1\"\nhost = \"sg\"\nstate_dir = \"{path}\"\n"));
        let said = place.run();
        assert_eq!(said.code, Some(3), "{path}: {}", said.stderr);
        assert!(
            said.stderr.contains("config.toml:6:13: ") && said.stderr.contains("is not a path of letters"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn more_ports_than_can_ever_be_counted_are_refused_without_advice_to_raise_the_limit() {
    let place = Place::with("[ports]\nwatch = [\"1-65535\"]\n");
    let said = place.run();
    assert!(
        said.stderr.contains("watch fewer ports; `count.max_ports` cannot be raised above 65530"),
        "{}",
        said.stderr
    );
    let place = Place::with("[count]\nmax_ports = 2\n[ports]\nwatch = [\"1-3\"]\n");
    let said = place.run();
    assert!(said.stderr.contains("watch fewer ports, or raise `count.max_ports`"), "{}", said.stderr);
}

#[test]
fn a_missing_configuration_is_refused() {
    let place = Place::with("");
    fs::remove_file(place.path("config.toml")).unwrap();
    let text = "error: failed to read `config.toml`\n  caused by: No such file or directory (os error 2)\n  \
                help: check that the file exists and that this user may read it\n";
    refused(&place.run(), 3, text);
}

const FILES: &str = "[ports]\nfiles = [{ path = \"mudb.json\", format = \"mudb\" }]\n";

#[test]
fn a_missing_port_file_is_refused_at_the_first_start() {
    let text = "error: failed to read the port file `mudb.json`\n  \
                caused by: No such file or directory (os error 2)\n  \
                help: fix the file, or remove it from `ports.files`\n";
    refused(&Place::with(FILES).run(), 3, text);
}

#[test]
fn an_unreadable_port_file_is_refused_at_the_first_start() {
    let place = Place::with(FILES);
    fs::write(place.path("mudb.json"), "[]").unwrap();
    fs::set_permissions(place.path("mudb.json"), fs::Permissions::from_mode(0o000)).unwrap();
    let text = "error: failed to read the port file `mudb.json`\n  \
                caused by: Permission denied (os error 13)\n  \
                help: fix the file, or remove it from `ports.files`\n";
    refused(&place.run_as_nobody(), 3, text);
}

#[test]
fn half_a_port_file_is_refused_at_the_first_start() {
    let place = Place::with(FILES);
    fs::write(place.path("mudb.json"), "[\n  {\"port\": 8388, \"user\": \"one\"},\n  {\"port\": 83").unwrap();
    let text = "error: failed to read the port file `mudb.json`\n  \
                caused by: it ends in the middle, at line 3: it is being written or was truncated\n  \
                help: fix the file, or remove it from `ports.files`\n";
    refused(&place.run(), 3, text);
}

#[test]
fn a_port_file_of_another_shape_is_refused_with_its_line() {
    let place = Place::with(FILES);
    fs::write(place.path("mudb.json"), "[\n  {\"port\": 8388, \"user\": \"one\"},\n  8389\n]\n").unwrap();
    let text = "error: failed to read the port file `mudb.json`\n  \
                caused by: expected a JSON array of objects with `port` and `user`\n  \
                caused by: invalid type: integer `8389`, expected struct Entry at line 3 column 6\n  \
                help: fix the file, or remove it from `ports.files`\n";
    refused(&place.run(), 3, text);
}

#[test]
fn nothing_to_count_is_refused() {
    let text = "error: no ports to count, and no port file or `listening` that could add any\n  \
                help: name ports with --ports or in `ports.watch`, a file in `ports.files`, or set `ports.listening`\n";
    refused(&Place::with("").run(), 3, text);
}

#[test]
fn who_is_not_root_is_told_what_is_missing() {
    let place = Place::with("[count]\nbackend = \"ebpf\"\ninterfaces = [\"lo\"]\n\n[ports]\nwatch = [443]\n");
    let said = place.run_as_nobody();
    assert_eq!(said.code, Some(4), "{}", said.stderr);
    let error = "error: not permitted to count with eBPF; missing: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON\n";
    let help = "  help: run as root, or grant what is missing; or use --backend nftables or iptables\n";
    // If no bpffs is mounted, a warning comes first.
    assert!(said.stderr.contains(error) && said.stderr.ends_with(help), "{}", said.stderr);
}
