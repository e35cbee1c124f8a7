//! `flow-agent init` prints a valid configuration, and overwrites nothing that somebody wrote.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flow_agent::config::{DEFAULT_CONFIG, load};
use flow_agent::ports::PortFileFormat;

use crate::program::flow_agent;

/// A root directory with these fixtures in the places of panels.
fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (fixture, place) in files {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/ports").join(fixture);
        let to = root.path().join(place);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
    root
}

#[test]
fn what_is_found_becomes_a_configuration_that_holds() {
    let root = root(&[
        ("port-traffic-dog/current.json", "etc/port-traffic-dog/config.json"),
        ("xray/current.json", "usr/local/etc/xray/config.json"),
        ("hysteria2/current.yaml", "etc/hysteria/config.yaml"),
    ]);
    // Half a file is mentioned, but nothing of it is used.
    fs::create_dir_all(root.path().join("etc/gost")).unwrap();
    fs::write(root.path().join("etc/gost/gost.yml"), "services:\n- name: x\n  addr: \":80").unwrap();
    let said = flow_agent(&["init", "--root", root.path().to_str().unwrap()]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{}", said.stdout);
    let path = root.path().join("config.toml");
    fs::write(&path, &said.stdout).unwrap();
    let config = load(Some(&path), None).unwrap();
    let files: Vec<(PortFileFormat, PathBuf)> =
        config.ports.files.into_iter().map(|file| (file.format, file.path)).collect();
    let expected = [
        (PortFileFormat::PortTrafficDog, "etc/port-traffic-dog/config.json"),
        (PortFileFormat::Xray, "usr/local/etc/xray/config.json"),
        (PortFileFormat::Hysteria2, "etc/hysteria/config.yaml"),
    ];
    assert_eq!(files, expected.map(|(format, place)| (format, root.path().join(place))));
    assert_eq!(config.month_start_day, 5, "as the only reset day that is named");
    for expected in [
        // Databases of panels state such a day as well.
        "# The quotas in the port files begin on this day of the month.\n",
        "# 5 ports, 2 owners.\n",
        "# inbound \"from-env\" is not counted: its port is in the environment variable \"XRAY_PORT\", which is not \
         set.\n",
        "# Already named by a file above, which takes precedence: 443.\n",
        "# its last line has no line feed: it is being written or was truncated; end it with a line feed.\n",
        "#name = \"ada\"\n#email = \"\"\n#quota = \"500 GiB\"\n",
        "#name = \"bob\"\n#email = \"\"\n#quota = \"2 TiB\"\n",
    ] {
        assert!(said.stdout.contains(expected), "{expected}{}", said.stdout);
    }
}

#[test]
fn where_nothing_is_found_the_ports_that_somebody_listens_on_are_counted() {
    let root = root(&[]);
    let said = flow_agent(&["init", "--root", root.path().to_str().unwrap()]);
    let path = root.path().join("config.toml");
    fs::write(&path, &said.stdout).unwrap();
    assert!(load(Some(&path), None).unwrap().ports.listening, "{}", said.stdout);
}

#[test]
fn it_writes_where_nothing_is_and_over_nothing() {
    let root = root(&[("wireguard/current.conf", "etc/wireguard/wg0.conf")]);
    let path = root.path().join("etc/flow-agent/config.toml");
    let arguments = ["init", "--write", "--root", root.path().to_str().unwrap(), "--config", path.to_str().unwrap()];
    let said = flow_agent(&arguments);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    // The next command reads the same file.
    let path_text = path.display();
    let next = format!("wrote {path_text}; review it, then run: flow-agent check --config {path_text}\n");
    assert_eq!(said.stdout, next);
    let written = fs::read_to_string(&path).unwrap();
    assert!(written.contains("format = \"wireguard\""), "{written}");
    fs::write(&path, "# mine\n").unwrap();
    let said = flow_agent(&arguments);
    assert!(said.code == Some(3) && said.stderr.contains("already exists, and was not changed"), "{}", said.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\n");
}

#[test]
fn it_replaces_the_default_of_a_package_as_long_as_nobody_has_changed_it() {
    let root = root(&[("wireguard/current.conf", "etc/wireguard/wg0.conf")]);
    let path = root.path().join("etc/flow-agent/config.toml");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let arguments = ["init", "--write", "--root", root.path().to_str().unwrap(), "--config", path.to_str().unwrap()];
    let changed = format!("{DEFAULT_CONFIG}node = \"hk-1\"\n");
    fs::write(&path, &changed).unwrap();
    let said = flow_agent(&arguments);
    assert!(said.code == Some(3) && said.stderr.contains("already exists, and was not changed"), "{}", said.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), changed);
    fs::write(&path, DEFAULT_CONFIG).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let said = flow_agent(&arguments);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    assert!(fs::read_to_string(&path).unwrap().contains("format = \"wireguard\""));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}
