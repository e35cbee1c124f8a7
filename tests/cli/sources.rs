//! What `check` says about port files and users files as panels, spreadsheets and broken uploads leave them.

use std::fs;
use std::path::Path;

use flow_agent::config::load;
use serde_json::Value;

use crate::program::{Said, flow_agent, open_to_all};

/// A directory with these files, and a configuration that begins with `config`.
fn place(config: &str, files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("flow-agent-cli").tempdir().unwrap();
    open_to_all(directory.path());
    let config = format!("node = \"hk-1\"\ntimezone = \"UTC\"\nstate_dir = \"state\"\n{config}");
    fs::write(directory.path().join("config.toml"), config).unwrap();
    for (name, content) in files {
        fs::write(directory.path().join(name), content).unwrap();
    }
    directory
}

fn check(place: &Path) -> Said {
    flow_agent(&["check", "--json", "--config", place.join("config.toml").to_str().unwrap()])
}

/// The status and text of the findings of one section, without the directory's path.
fn findings(place: &Path, said: &Said, section: &str) -> Vec<(String, String)> {
    let findings = said.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let directory = format!("{}/", place.display());
    let of = |finding: Value| {
        let text = |key: &str| finding[key].as_str().unwrap().replace(&directory, "");
        (text("status"), text("what"))
    };
    findings.filter(|finding| finding["section"] == section).map(of).collect()
}

/// Whether a finding has this status and contains this text.
fn has(findings: &[(String, String)], status: &str, text: &str) -> bool {
    findings.iter().any(|(found, what)| found == status && what.contains(text))
}

#[test]
fn a_user_id_of_single_port_mode_is_named_and_the_ports_beside_it_are_counted() {
    let mudb = br##"[
        {"d": 0, "enable": 1, "port": 443, "protocol_param": "#", "transfer_enable": 1125899906842624, "user": "gate"},
        {"d": 0, "enable": 1, "port": 8388, "protocol_param": "2", "transfer_enable": 10737418240, "user": "ada"},
        {"d": 0, "enable": 1, "port": 100001, "protocol_param": "2", "transfer_enable": 10737418240, "user": "100001"}
    ]"##;
    let place = place("[ports]\nfiles = [{ path = \"mudb.json\", format = \"mudb\" }]\n", &[("mudb.json", mudb)]);
    let ports = findings(place.path(), &check(place.path()), "ports");
    assert!(has(&ports, "ok", "2 ports, 2 with an owner: 443,8388"), "{ports:?}");
    let expected = "`mudb.json`: user \"100001\" is not counted: port 100001 is out of range, expected 1 to 65535";
    assert!(has(&ports, "warn", expected), "{ports:?}");
}

#[test]
fn a_users_file_whose_upload_broke_off_is_refused() {
    let place = place("users_file = \"users.csv\"\n", &[("users.csv", b"name,ports\nada,8388\nbob,183")]);
    let said = check(place.path());
    let expected =
        "users.csv:3:1: its last line has no line feed: it is being written or was truncated; end it with a line feed";
    assert_eq!(
        (said.code, findings(place.path(), &said, "config")),
        (Some(3), vec![("fail".to_owned(), expected.to_owned())])
    );
}

#[test]
fn users_files_as_spreadsheets_save_them_are_read() {
    // 张三 in GBK.
    let gbk = b"name,ports,email,language,quota\n\xd5\xc5\xc8\xfd,8388,z@example.com,zh,500 GiB\n";
    let semicolons = b"name;ports;email;language;quota\nada;8388 8389;ada@example.com;zh;500 GiB\n";
    let blank_rows = b"name,ports,email,language,quota\nada,8388,ada@example.com,zh,500 GiB\n,,,,\n,,,,\n";
    for (content, name, ports) in
        [(&gbk[..], "张三", &[8388][..]), (semicolons, "ada", &[8388, 8389]), (blank_rows, "ada", &[8388])]
    {
        let place = place("users_file = \"users.csv\"\n", &[("users.csv", content)]);
        let config = load(Some(&place.path().join("config.toml")), None).unwrap();
        assert_eq!(config.users.len(), 1);
        let user = &config.users[0];
        assert_eq!((user.name.as_str(), user.quota_bytes), (name, Some(500 << 30)));
        assert!(user.ports.iter().eq(ports), "{:?}", user.ports);
    }
}

#[test]
fn the_encoding_of_a_users_file_is_said_and_never_guessed_between_two() {
    let place = place("users_file = \"users.csv\"\n", &[("users.csv", b"name,ports\n\xd5\xc5\xc8\xfd,8388\n")]);
    let said = findings(place.path(), &check(place.path()), "config");
    assert!(has(&said, "warn", "`users.csv` is not UTF-8: it was read as gb18030"), "{said:?}");
    fs::write(place.path().join("users.csv"), b"name,ports\nada,443\nRen\xe9e,8388\n").unwrap();
    let said = findings(place.path(), &check(place.path()), "config");
    let expected = "users.csv:3:4: neither UTF-8 nor clearly GB18030; save it as \"CSV UTF-8\"";
    assert_eq!(said, [("fail".to_owned(), expected.to_owned())]);
}

#[test]
fn a_local_node_is_read_from_the_state_directory_of_its_own_configuration() {
    let place =
        place("[[nodes]]\nname = \"hk-1\"\nlocal = true\n\n[[nodes]]\nname = \"hk-2\"\nhost = \"192.0.2.7\"\n", &[]);
    let config = place.path().join("config.toml");
    let state_dirs = |state_dir: Option<&str>| {
        let config = load(Some(&config), state_dir.map(Path::new)).unwrap();
        config.nodes.into_iter().map(|node| node.state_dir).collect::<Vec<_>>()
    };
    let remote = Path::new("/var/lib/flow-agent");
    assert_eq!(state_dirs(None), [place.path().join("state").as_path(), remote]);
    assert_eq!(state_dirs(Some("/elsewhere")), [Path::new("/elsewhere"), remote]);
}

#[test]
fn ports_that_stand_in_the_keys_of_port_password_are_counted() {
    let proxy = br#"{"server": "0.0.0.0", "method": "aes-256-gcm", "port_password": {"8381": "a", "8382": "b"}}"#;
    let place =
        place("[ports]\nfiles = [{ path = \"config.json\", format = \"shadowsocks\" }]\n", &[("config.json", proxy)]);
    let ports = findings(place.path(), &check(place.path()), "ports");
    assert!(has(&ports, "ok", "2 ports, 0 with an owner: 8381-8382"), "{ports:?}");
    // Each file with its contribution; its age depends on the machine.
    let of_file = "`config.json`: 2 ports, 0 owners, no problems, changed ";
    assert!(has(&ports, "ok", of_file), "{ports:?}");
}

#[test]
fn every_port_file_is_told_of_even_where_one_cannot_be_read() {
    let files = "[ports]\nfiles = [\n{ path = \"gone.json\", format = \"xray\" },\n{ path = \"cut.toml\", format = \"realm\" },\n\
                 { path = \"good.list\", format = \"list\" },\n]\n";
    let cut = b"[[endpoints]]\nlisten = \"0.0.0.0:80";
    let place = place(files, &[("cut.toml", cut), ("good.list", b"443 ada\n70000 bob\n")]);
    let said = check(place.path());
    let ports = findings(place.path(), &said, "ports");
    assert_eq!(said.code, Some(3), "{}", said.stderr);
    assert!(has(&ports, "fail", "`gone.json`: No such file or directory"), "{ports:?}");
    assert!(has(&ports, "fail", "`cut.toml`: its last line has no line feed"), "{ports:?}");
    assert!(has(&ports, "ok", "`good.list`: 1 port, 1 owner, 1 complaint, changed "), "{ports:?}");
}

#[test]
fn a_users_file_in_utf_16_is_read_with_a_mark_and_without() {
    let text: Vec<u8> = "name\tports\r\n张三\t8388\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for mark in [&b"\xff\xfe"[..], b""] {
        let content = [mark, &text].concat();
        let place = place("users_file = \"users.csv\"\n", &[("users.csv", &content)]);
        let config = load(Some(&place.path().join("config.toml")), None).unwrap();
        assert_eq!((config.users.len(), config.users[0].name.as_str()), (1, "张三"));
        let said = findings(place.path(), &check(place.path()), "config");
        assert!(has(&said, "warn", "it was read as UTF-16LE"), "{said:?}");
    }
}
