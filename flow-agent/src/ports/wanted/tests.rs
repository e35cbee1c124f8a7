//! Tests which ports are counted for whom.

use super::*;
use crate::ports::Listed;
use crate::ports::content::Problem;
use crate::ports::{PortFile, PortFileFormat};

fn user(name: &str, ports: &[u16], nodes: &[&str]) -> User {
    User {
        name: name.to_owned(),
        ports: ports.iter().copied().collect(),
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        ..User::default()
    }
}

fn owners(owners: &[(u16, Option<&str>)]) -> PortOwners {
    owners.iter().map(|(port, user)| (*port, user.map(str::to_owned))).collect()
}

fn listed(list: &[(u16, Option<&str>)]) -> Result<PortFileContent, PortFileError> {
    Ok(PortFileContent { listed: Listed { owners: owners(list), ..Listed::default() }, modified_at: None })
}

fn unread(path: &str) -> (PathBuf, Result<PortFileContent, PortFileError>) {
    let path = PathBuf::from(path);
    (path.clone(), Err(PortFileError { path, source: Problem::NotAFile }))
}

fn config(watch: &[u16], files: &[&str]) -> PortsConfig {
    PortsConfig {
        watch: watch.iter().copied().collect(),
        listening: false,
        files: files.iter().map(|path| PortFile { path: path.into(), format: PortFileFormat::Mudb }).collect(),
    }
}

/// Debian's default range.
fn ephemeral(reserved: &[u16]) -> Ephemeral {
    Ephemeral { range: 32_768..=60_999, reserved: reserved.iter().copied().collect() }
}

struct Case {
    config: PortsConfig,
    users: Vec<User>,
    files: Vec<(PathBuf, Result<PortFileContent, PortFileError>)>,
    last_good: BTreeMap<PathBuf, PortOwners>,
    may_lack_files: bool,
    listening: BTreeSet<u16>,
    max_ports: u32,
}

impl Case {
    fn of(config: PortsConfig) -> Self {
        let (last_good, listening) = (BTreeMap::new(), BTreeSet::new());
        Self {
            config,
            users: Vec::new(),
            files: Vec::new(),
            last_good,
            may_lack_files: false,
            listening,
            max_ports: 65_530,
        }
    }

    fn wanted(self) -> Result<Wanted, WantedError> {
        wanted(Sources {
            node: "hk-1",
            config: &self.config,
            users: &self.users,
            max_ports: self.max_ports,
            files: self.files,
            last_good: &self.last_good,
            may_lack_files: self.may_lack_files,
            listening: self.listening,
            ephemeral: &ephemeral(&[]),
        })
    }
}

fn warnings(wanted: &Wanted) -> Vec<String> {
    wanted.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn every_source_adds_its_ports() {
    let mut case = Case::of(config(&[443], &["/a.json"]));
    case.users = vec![user("one", &[8388], &[]), user("two", &[8389], &["hk-1"]), user("far", &[8390], &["sg-1"])];
    case.files = vec![("/a.json".into(), listed(&[(9000, Some("three")), (9001, None)]))];
    case.listening = BTreeSet::from([22]);
    let wanted = case.wanted().unwrap();
    let expected =
        [(22, None), (443, None), (8388, Some("one")), (8389, Some("two")), (9000, Some("three")), (9001, None)];
    assert_eq!(wanted.ports, owners(&expected));
    assert_eq!(wanted.files, BTreeMap::from([("/a.json".into(), owners(&[(9000, Some("three")), (9001, None)]))]));
    assert_eq!(warnings(&wanted), [""; 0]);
}

#[test]
fn who_is_named_first_owns_the_port_and_a_dispute_is_told() {
    let mut case = Case::of(config(&[443], &["/a.json", "/b.json"]));
    case.users = vec![user("one", &[8388, 8389], &[])];
    case.files = vec![
        ("/a.json".into(), listed(&[(443, Some("file-a")), (8388, Some("file-a")), (8389, Some("one"))])),
        ("/b.json".into(), listed(&[(443, Some("file-b"))])),
    ];
    let wanted = case.wanted().unwrap();
    assert_eq!(wanted.ports, owners(&[(443, Some("file-a")), (8388, Some("one")), (8389, Some("one"))]));
    let expected = [
        "port 8388 is counted for \"one\", although `/a.json` says that it belongs to \"file-a\"",
        "port 443 is counted for \"file-a\", although `/b.json` says that it belongs to \"file-b\"",
    ];
    assert_eq!(warnings(&wanted), expected);
}

#[test]
fn a_file_that_cannot_be_read_keeps_its_last_good_list() {
    let mut case = Case::of(config(&[], &["/a.json"]));
    case.files = vec![unread("/a.json")];
    case.last_good = BTreeMap::from([("/a.json".into(), owners(&[(8388, Some("one"))]))]);
    let wanted = case.wanted().unwrap();
    assert_eq!(wanted.ports, owners(&[(8388, Some("one"))]));
    assert_eq!(wanted.files, BTreeMap::from([("/a.json".into(), owners(&[(8388, Some("one"))]))]));
    let expected = "failed to read the port file `/a.json`: not a regular file: keeping its last good list of 1 port";
    assert_eq!(warnings(&wanted), [expected]);
}

#[test]
fn a_file_that_shrank_is_not_called_unreadable() {
    let mut case = Case::of(config(&[], &["/a.json"]));
    case.last_good = BTreeMap::from([("/a.json".into(), owners(&[(8388, Some("one"))]))]);
    let source = Problem::Shrunk { before: 3, after: 1 };
    case.files = vec![("/a.json".into(), Err(PortFileError { path: "/a.json".into(), source }))];
    let expected = "`/a.json`: it lists 1 instead of 3 ports: it will be used if it stays so for 10 s: keeping its last \
                    good list of 1 port";
    assert_eq!(warnings(&case.wanted().unwrap()), [expected]);
}

#[test]
fn a_file_that_never_could_be_read_is_an_error() {
    let mut case = Case::of(config(&[443], &["/a.json"]));
    case.files = vec![unread("/a.json")];
    // The last good list of another file does not help.
    case.last_good = BTreeMap::from([("/b.json".into(), owners(&[(8388, Some("one"))]))]);
    assert!(matches!(case.wanted(), Err(WantedError::File(_))));
}

#[test]
fn a_file_that_never_could_be_read_does_not_keep_a_running_agent_from_the_others() {
    let mut case = Case::of(config(&[], &["/a.json", "/b.json"]));
    case.may_lack_files = true;
    case.files = vec![unread("/a.json"), ("/b.json".into(), listed(&[(443, Some("two"))]))];
    let wanted = case.wanted().unwrap();
    assert_eq!(wanted.ports, owners(&[(443, Some("two"))]));
    let expected = "failed to read the port file `/a.json`: not a regular file: its ports are not counted until it can \
                    be read";
    assert_eq!(warnings(&wanted), [expected]);
    assert!(wanted.is_unsettled() && wanted.sources[0].is_lacking);
    // It is not remembered as an empty list, with which the next start would be content.
    assert_eq!(wanted.files.keys().collect::<Vec<_>>(), [Path::new("/b.json")]);
}

#[test]
fn an_include_is_no_complaint_if_its_files_are_a_source_themselves() {
    let nginx = |path: &str| PortFile { path: path.into(), format: PortFileFormat::Nginx };
    let complaints = |pattern: &str, other: &str| {
        let mut case = Case::of(config(&[], &[]));
        case.config.files = vec![nginx("/etc/nginx/nginx.conf"), nginx(other)];
        let complaints = vec![Complaint::Include { line: 3, pattern: pattern.to_owned() }];
        let listed = Listed { complaints, ..Listed::default() };
        case.files = vec![
            ("/etc/nginx/nginx.conf".into(), Ok(PortFileContent { listed, modified_at: None })),
            (other.into(), self::listed(&[(443, None)])),
        ];
        let wanted = case.wanted().unwrap();
        assert_eq!(wanted.warnings.len(), wanted.sources[0].complaints, "{pattern} {other}");
        wanted.sources[0].complaints
    };
    for (pattern, other, expected) in [
        ("/etc/nginx/streams-enabled/*", "/etc/nginx/streams-enabled", 0),
        ("streams-enabled/*.conf", "/etc/nginx/streams-enabled/", 0),
        ("stream.conf", "/etc/nginx/stream.conf", 0),
        ("streams-enabled/*.conf", "/etc/nginx/sites-enabled", 1),
        ("streams-*/*.conf", "/etc/nginx/streams-enabled", 1),
    ] {
        assert_eq!(complaints(pattern, other), expected, "{pattern} {other}");
    }
}

#[test]
fn a_file_that_is_no_longer_named_is_forgotten() {
    let mut case = Case::of(config(&[443], &[]));
    case.last_good = BTreeMap::from([("/b.json".into(), owners(&[(8388, Some("one"))]))]);
    let wanted = case.wanted().unwrap();
    assert_eq!(wanted.ports, owners(&[(443, None)]));
    assert!(wanted.files.is_empty());
}

#[test]
fn nothing_to_count_is_an_error_unless_something_may_come() {
    assert!(matches!(Case::of(config(&[], &[])).wanted(), Err(WantedError::Nothing)));
    let mut case = Case::of(config(&[], &["/a.json"]));
    case.files = vec![("/a.json".into(), listed(&[]))];
    assert!(case.wanted().unwrap().ports.is_empty());
    let mut case = Case::of(config(&[], &[]));
    case.config.listening = true;
    assert!(case.wanted().unwrap().ports.is_empty());
}

#[test]
fn more_ports_than_the_ceiling_are_refused() {
    let mut case = Case::of(config(&[443, 444, 445], &[]));
    case.max_ports = 2;
    let error = case.wanted().unwrap_err();
    assert_eq!(error.to_string(), "3 ports should be counted, but `max_ports` is 2");
}

#[test]
fn ports_that_the_kernel_may_give_away_are_told_with_the_line_that_keeps_them() {
    let wanted = Case::of(config(&[443, 32_767, 32_768, 40_000, 40_001, 60_999, 61_000], &[])).wanted().unwrap();
    let expected = "outgoing connections may use ports 32768,40000-40001,60999, and are then counted there; to reserve \
                    them: sysctl -w net.ipv4.ip_local_reserved_ports=32768,40000-40001,60999";
    assert_eq!(warnings(&wanted), [expected]);
    // The setting replaces the present one, so it must include the ports that are reserved already.
    let warning = ephemeral_warning([443, 40_000, 50_000].into_iter(), &ephemeral(&[50_000, 50_001])).unwrap();
    let expected = "outgoing connections may use port 40000, and are then counted there; to reserve them: \
                    sysctl -w net.ipv4.ip_local_reserved_ports=40000,50000-50001";
    assert_eq!(warning.to_string(), expected);
    assert!(ephemeral_warning([443].into_iter(), &ephemeral(&[])).is_none());
}
