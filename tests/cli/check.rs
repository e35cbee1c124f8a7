//! `flow-agent check`.

use std::fs;
use std::path::Path;

use flow_agent::store::StateDir;
use serde_json::Value;

use crate::program::{flow_agent, flow_agent_as_nobody, open_to_all};
use crate::state::State;

fn place(config: &str) -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("flow-agent-cli").tempdir().unwrap();
    open_to_all(directory.path());
    let config = format!("node = \"hk-1\"\ntimezone = \"UTC\"\nstate_dir = \"state\"\n{config}");
    fs::write(directory.path().join("config.toml"), config).unwrap();
    directory
}

fn findings(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_configuration_that_is_wrong_is_a_finding_and_code_3() {
    let place = place("[count]\nbukcet = \"1h\"\n");
    let config = place.path().join("config.toml");
    let said = flow_agent(&["check", "--json", "--config", config.to_str().unwrap()]);
    let expected = serde_json::json!({
        "section": "config",
        "status": "fail",
        "what": format!("{}:5:1: unknown key `bukcet`", config.display()),
        "help": "did you mean `bucket`?",
    });
    assert_eq!((said.code, findings(&said.stdout)), (Some(3), vec![expected]));
}

#[test]
fn a_port_file_that_is_missing_is_a_finding_of_the_ports() {
    let place = place("[ports]\nfiles = [{ path = \"mudb.json\", format = \"mudb\" }]\n");
    let config = place.path().join("config.toml");
    let said = flow_agent(&["check", "--json", "--config", config.to_str().unwrap()]);
    let failed: Vec<_> = findings(&said.stdout).into_iter().filter(|finding| finding["section"] == "ports").collect();
    assert_eq!(failed.len(), 1, "{}", said.stdout);
    assert_eq!(failed[0]["status"], "fail");
    let what = format!(
        "failed to read the port file `{}`: No such file or directory (os error 2)",
        place.path().join("mudb.json").display()
    );
    assert_eq!(failed[0]["what"], what.as_str());
    assert!(!place.path().join("state").exists(), "check made the state directory");
}

#[test]
fn wire_bytes_are_not_for_rules() {
    let place = place("[count]\nbackend = \"iptables\"\ncount = \"wire\"\n\n[ports]\nwatch = [443]\n");
    let config = place.path().join("config.toml");
    let said = flow_agent(&["check", "--json", "--config", config.to_str().unwrap()]);
    let refusal = serde_json::json!({
        "section": "kernel",
        "status": "fail",
        "what": "count = \"wire\" needs eBPF: iptables sees packets before they are segmented for the wire",
        "help": "set count = \"ip\", or use --backend ebpf",
    });
    assert!(said.code == Some(4) && findings(&said.stdout).contains(&refusal), "{}", said.stdout);
}

#[test]
fn who_is_not_root_is_told_so_and_code_4() {
    let place = place("[ports]\nwatch = [443]\n");
    let config = place.path().join("config.toml");
    let said = flow_agent_as_nobody(&["check", "--json", "--config", config.to_str().unwrap()]);
    assert_eq!(said.code, Some(4), "{}", said.stdout);
    let missing = |finding: &Value| {
        finding["section"] == "kernel"
            && finding["status"] == "fail"
            && finding["what"]
                .as_str()
                .is_some_and(|what| what.starts_with("missing: ") && what.contains("CAP_NET_ADMIN"))
    };
    assert!(findings(&said.stdout).iter().any(missing), "{}", said.stdout);
}

#[test]
fn what_is_well_is_said_in_a_table() {
    let place = place("[ports]\nwatch = [443, \"8000-8002\"]\n\n[[users]]\nname = \"one\"\nports = [8388]\n");
    let config = place.path().join("config.toml");
    let said = flow_agent(&["check", "--config", config.to_str().unwrap()]);
    assert!(said.stdout.contains("5 ports, 1 with an owner: 443,8000-8002,8388\n"), "{}", said.stdout);
    assert!(said.stdout.starts_with("config      ok    "), "{}", said.stdout);
    assert_eq!(said.stderr, "");
}

#[test]
fn config_only_looks_at_the_configuration_and_its_files_and_at_nothing_else() {
    let place = place("[ports]\nwatch = [443]\nfiles = [{ path = \"mudb.json\", format = \"mudb\" }]\n");
    let config = place.path().join("config.toml");
    let arguments = ["check", "--config-only", "--json", "--config", config.to_str().unwrap()];
    // This user may not load programs, and is not even told so.
    let said = flow_agent_as_nobody(&arguments);
    let sections = |stdout: &str| -> Vec<String> {
        findings(stdout).iter().map(|finding| format!("{} {}", finding["section"], finding["status"])).collect()
    };
    let expected = [r#""config" "ok""#, r#""ports" "fail""#];
    assert_eq!((said.code, sections(&said.stdout)), (Some(3), expected.map(str::to_owned).into()));

    fs::write(place.path().join("mudb.json"), r#"[{"user": "acct-8388", "port": 8388}]"#).unwrap();
    let said = flow_agent_as_nobody(&arguments);
    let expected = [r#""config" "ok""#, r#""ports" "ok""#, r#""ports" "ok""#];
    assert_eq!((said.code, sections(&said.stdout)), (Some(0), expected.map(str::to_owned).into()));

    fs::write(&config, "[count]\nbukcet = \"1h\"\n").unwrap();
    let said = flow_agent_as_nobody(&arguments);
    assert_eq!((said.code, sections(&said.stdout)), (Some(3), vec![r#""config" "fail""#.to_owned()]));
}

/// The findings of one section: status, text and help.
fn of_section(stdout: &str, section: &str) -> Vec<(String, String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let findings = findings(stdout).into_iter().filter(|finding| finding["section"] == section);
    findings.map(|finding| (text(&finding, "status"), text(&finding, "what"), text(&finding, "help"))).collect()
}

#[test]
fn a_main_node_that_only_gathers_needs_no_ports() {
    let directory = place("[[nodes]]\nname = \"hk-2\"\nhost = \"192.0.2.7\"\n");
    let config = directory.path().join("config.toml");
    let said = flow_agent(&["check", "--config-only", "--config", config.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
}

/// How the agent is started on this machine.
fn start() -> &'static str {
    match (Path::new("/run/systemd/system").exists(), Path::new("/sbin/openrc-run").exists()) {
        (true, _) => "systemctl enable --now flow-agent",
        (false, true) => "rc-service flow-agent start",
        (false, false) => "flow-agent run",
    }
}

#[test]
fn no_agent_is_a_failure_and_says_how_to_start_one() {
    let state = State::full();
    let config = state.config();
    fs::write(&config, fs::read_to_string(&config).unwrap() + "[ports]\nwatch = [443]\n").unwrap();
    let said = flow_agent(&["check", "--json", "--config", config.to_str().unwrap()]);
    let what = format!(
        "no agent is running for `{}`: the counters were last read at 2024-10-05 14:23:30",
        state.path("").display().to_string().trim_end_matches('/')
    );
    let expected = ("fail".to_owned(), what, start().to_owned());
    assert_eq!((said.code, of_section(&said.stdout, "agent")), (Some(4), vec![expected]));
}

#[test]
fn counters_that_nobody_reads_are_a_failure_although_an_agent_runs() {
    let state = State::full();
    let config = state.config();
    fs::write(&config, fs::read_to_string(&config).unwrap() + "[ports]\nwatch = [443]\n").unwrap();
    // Holds the agent's lock, as an agent that hangs would.
    let _lock = StateDir::new(state.path("")).lock_run().unwrap();
    let said = flow_agent(&["check", "--json", "--config", config.to_str().unwrap()]);
    let found = of_section(&said.stdout, "agent");
    assert_eq!((said.code, found.len()), (Some(4), 1), "{}", said.stdout);
    let expected = "the counters have not been read since 2024-10-05 14:23:30, more than two buckets ago";
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("fail", expected));
    let restart = if start() == "flow-agent run" { start() } else { "restart" };
    assert!(found[0].2.contains(restart), "{found:?}");
}

#[test]
fn a_monitor_reads_the_code_and_nothing_else() {
    let state = State::full();
    let config = state.config();
    fs::write(&config, fs::read_to_string(&config).unwrap() + "[ports]\nwatch = [443]\n").unwrap();
    for arguments in [&["check", "--quiet"][..], &["check", "-q", "--json"]] {
        let said = flow_agent(&[arguments, &["--config", config.to_str().unwrap()]].concat());
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (Some(4), "", ""), "{arguments:?}");
    }
}

#[test]
fn a_main_node_that_counts_nothing_lacks_neither_ports_nor_an_agent() {
    // Nobody listens on this port, so only the node is a failure.
    let place = place("[[nodes]]\nname = \"hk-2\"\nhost = \"127.0.0.1\"\nport = 1\n");
    let config = place.path().join("config.toml");
    let said = flow_agent(&["check", "--json", "--config", config.to_str().unwrap()]);
    let expected = "this main node gathers from 1 node and counts nothing itself";
    assert_eq!(
        of_section(&said.stdout, "agent"),
        [("ok".to_owned(), expected.to_owned(), String::new())],
        "{}",
        said.stdout
    );
    let failed = findings(&said.stdout).into_iter().filter(|finding| finding["status"] == "fail");
    assert!(failed.clone().all(|finding| finding["section"] == "nodes"), "{}", said.stdout);
    assert_eq!((said.code, failed.count()), (Some(6), 1), "{}", said.stdout);
}
