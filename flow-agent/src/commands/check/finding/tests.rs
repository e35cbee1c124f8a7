use super::*;

fn findings() -> Vec<Finding> {
    vec![
        Finding::ok(Section::Config, "/etc/flow-agent/config.toml"),
        Finding::ok(Section::Kernel, "6.18.15"),
        Finding::warn(Section::Kernel, "no bpffs").help("mount it".to_owned()),
        Finding::fail(Section::State, "`/x` is locked"),
        Finding::fail(Section::Interfaces, "interface `eth9` does not exist"),
    ]
}

#[test]
fn the_first_section_that_fails_gives_the_code() {
    assert_eq!(code(&findings()), Code::Kernel);
    assert_eq!(code(&findings()[..4]), Code::Store);
    assert_eq!(code(&findings()[..3]), Code::Done);
}

#[test]
fn a_table_names_each_section_once() {
    let expected = "\
config      ok    /etc/flow-agent/config.toml
kernel      ok    6.18.15
            warn  no bpffs
                  help: mount it
state       fail  `/x` is locked
interfaces  fail  interface `eth9` does not exist
";
    assert_eq!(table(&findings(), false, None), expected);
    let coloured = table(&findings()[2..4], true, Some(80));
    assert_eq!(
        coloured,
        "kernel      \x1b[33mwarn\x1b[0m  no bpffs\n                  help: mount it\nstate       \x1b[31mfail\x1b[0m  `/x` is locked\n"
    );
}

/// The findings on a node whose agent runs, with texts that are too long for a narrow terminal.
fn of_a_node() -> Vec<Finding> {
    vec![
            Finding::ok(Section::Config, "/etc/flow-agent/config.toml"),
            Finding::ok(Section::Kernel, "6.18.15-cloud-amd64: eBPF, attached by TCX"),
            Finding::warn(Section::Interfaces, "`wg0` moves bytes of watched ports (8388, 8389) and is not counted")
                .help("name it in `count.interfaces`, beside `auto`, unless what it moves is seen on `eth0`, too".to_owned()),
            Finding::ok(Section::Ports, "1 port of `北京市朝阳区某某国际数据通信与内容分发服务股份有限公司`, and 3 of nobody"),
            Finding::warn(
                Section::State,
                "yesterday the ports and everything else differ from the devices' own counters by +1.2 % (in), +0.1 % (out)",
            )
            .help("`flow-agent show total --from yesterday --to yesterday` shows both".to_owned()),
            Finding::ok(Section::Agent, "answers at `/run/flow-agent/0123456789abcdef0123456789abcdef.sock`"),
            Finding::fail(
                Section::Agent,
                "no answer at http://127.0.0.1:9177: failed to connect: connection refused (os error 111)",
            )
            .help("read `journalctl -u flow-agent`: it says why the agent does not listen".to_owned()),
        ]
}

#[test]
fn a_terminal_shows_whole_words_below_each_other() {
    for width in [80, 140] {
        let text = table(&of_a_node(), false, Some(width));
        let widest = text.lines().map(UnicodeWidthStr::width).max().unwrap();
        assert!(widest <= width, "{widest} columns:\n{text}");
        insta::assert_snapshot!(format!("check_{width}"), text);
    }
    // Output to another program has one line per finding.
    assert_eq!(table(&of_a_node(), false, None).lines().count(), 7 + 3);
}

#[test]
fn json_is_one_object_a_line() {
    let expected = r#"{"section":"kernel","status":"warn","what":"no bpffs","help":"mount it"}
{"section":"state","status":"fail","what":"`/x` is locked"}
"#;
    assert_eq!(json(&findings()[2..4]), expected);
}
