use super::*;
use crate::config;

fn config(text: &str) -> Config {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = format!("node = \"hk-1\"\ntimezone = \"UTC\"\nstate_dir = \"/state\"\n{text}");
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    config::load(Some(file.path()), None).unwrap()
}

fn at(time: &str) -> DateTime<Utc> {
    format!("2026-10-05T{time}Z").parse().unwrap()
}

#[test]
fn an_agent_that_is_gone_or_reads_nothing_is_a_failure() {
    let config = config("");
    let said = |runs, read_at, now| {
        judge(&config, runs, read_at, at(now), ServiceManager::Systemd)
            .map(|finding| (finding.status, finding.what, finding.help))
    };
    assert_eq!(said(true, None, "13:00:00"), None);
    // Two buckets of an hour, and one minute.
    let read_at = Some(at("13:00:00"));
    assert_eq!(said(true, read_at, "15:01:00").unwrap().0, Status::Ok);
    let expected = (
        Status::Fail,
        "the counters have not been read since 2026-10-05 13:00:00, more than two buckets ago".to_owned(),
        Some("read `journalctl -u flow-agent`, then `systemctl restart flow-agent`".to_owned()),
    );
    assert_eq!(said(true, read_at, "15:01:01"), Some(expected));
    // The clock was set back.
    assert_eq!(said(true, read_at, "12:00:00").unwrap().0, Status::Ok);
    let gone = "no agent is running for `/state`: the counters were last read at 2026-10-05 13:00:00";
    assert_eq!(
        said(false, read_at, "13:00:01"),
        Some((Status::Fail, gone.to_owned(), Some("systemctl enable --now flow-agent".to_owned())))
    );
}

#[test]
fn a_main_node_only_gathers_unless_it_is_a_node_itself_or_names_ports() {
    let remote = "[[nodes]]\nname = \"hk-2\"\nhost = \"192.0.2.7\"\n";
    assert!(config(remote).only_gathers());
    for other in [
        String::new(),
        format!("{remote}[[nodes]]\nname = \"hk-1\"\nlocal = true\n"),
        format!("{remote}[ports]\nwatch = [443]\n"),
        format!("{remote}[ports]\nlistening = true\n"),
        format!("{remote}[ports]\nfiles = [{{ path = \"/mudb.json\", format = \"mudb\" }}]\n"),
    ] {
        assert!(!config(&other).only_gathers(), "{other}");
    }
}
