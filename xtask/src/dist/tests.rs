use super::*;

#[test]
fn everything_that_is_packaged_is_there_and_nothing_is_forgotten() {
    for (from, ..) in FILES {
        assert!(root().join(from).is_file(), "{from}");
    }
    let names = |directory: &str| {
        let entries = fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap());
        entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name().into_string().unwrap())
    };
    for name in names("flow-agent/packaging") {
        assert!(FILES.iter().any(|(from, ..)| from.ends_with(&format!("packaging/{name}"))), "{name}");
    }
    for name in names("flow-agent/packaging/deb") {
        assert!(deb::CONTROL_FILES.iter().any(|(known, _)| *known == name), "{name}");
    }
    for name in names("flow-agent/packaging/tarball") {
        assert!(TARBALL_FILES.iter().any(|(from, ..)| from.ends_with(&format!("tarball/{name}"))), "{name}");
    }
}

#[test]
fn whoever_removes_it_stops_every_unit_that_can_be_enabled() {
    let directory = root().join("flow-agent/packaging");
    let units = FILES.iter().filter_map(|(from, to, _)| to.starts_with("usr/lib/systemd/system/").then_some(*from));
    let enabled: Vec<&str> = units
        .filter(|from| fs::read_to_string(root().join(from)).unwrap().contains("\n[Install]\n"))
        .map(|from| from.rsplit('/').next().unwrap())
        .collect();
    assert!(enabled.len() >= 7, "{enabled:?}");
    for script in ["deb/prerm", "rpm/flow-agent.spec", "tarball/install.sh"] {
        let text = fs::read_to_string(directory.join(script)).unwrap().replace("\\\n", " ");
        let stops = text.lines().find(|line| line.contains("systemctl disable --now")).unwrap();
        let stopped: Vec<&str> = stops.split_whitespace().collect();
        for unit in &enabled {
            assert!(stopped.contains(unit), "{script} does not stop {unit}");
        }
    }
}

#[test]
fn what_is_configuration_is_kept_at_an_upgrade() {
    let conffiles = fs::read_to_string(root().join("flow-agent/packaging/deb/conffiles")).unwrap();
    let installed = FILES.iter().filter(|(_, to, _)| to.starts_with("etc/")).map(|(_, to, _)| format!("/{to}\n"));
    assert_eq!(conffiles, installed.collect::<String>());
}
