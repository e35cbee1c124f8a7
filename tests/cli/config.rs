//! Every configuration in `fixtures/config/valid` is accepted, and every one in `invalid` is rejected with the recorded
//! message.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flow_agent::backend::BackendChoice;
use flow_agent::config::{Config, ConfigError, CountConfig, IncompleteLetters, LimitsConfig, ReportConfig, load};
use flow_agent::fleet::{FleetConfig, FleetUrl};
use flow_agent::gather::NodeSource;
use flow_agent::ledger::billing::{Billed, Price};
use flow_agent::ledger::calendar::BucketLength;
use flow_agent::ledger::language::Language;
use flow_agent::ledger::limits::notice::NoticeEvent;
use flow_agent::ledger::record::CountMode;
use flow_agent::ledger::user::{OnQuota, UsedBefore, User};
use flow_agent::mail::{MailConfig, MailSecurity, MailServer};
use flow_agent::notify::{ChannelConfig, ChannelKind};
use flow_agent::ports::{PortFile, PortFileFormat, PortsConfig};

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/config").join(kind);
    let directory = directory.canonicalize().unwrap();
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

fn load_file(path: &Path) -> Result<Config, ConfigError> {
    load(Some(path), Some(Path::new("/var/lib/flow-agent")))
}

#[test]
fn every_invalid_configuration_is_refused_with_its_place_and_what_was_expected() {
    let mut messages = String::new();
    for path in fixtures("invalid") {
        let error = load_file(&path).expect_err(&format!("{} is valid", path.display()));
        let mut message = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            message += &format!("\n  caused by: {source}");
        }
        if let Some(help) = error.help() {
            message += &format!("\n  help: {help}");
        }
        messages += &message.replace(&format!("{}/", path.parent().unwrap().display()), "");
        messages += "\n";
    }
    insta::assert_snapshot!(messages);
}

/// `tests/fixtures/config/valid/NAME`.
fn valid(name: &str) -> Config {
    let path = fixtures("valid").into_iter().find(|path| path.ends_with(name)).unwrap();
    load_file(&path).unwrap()
}

#[test]
fn every_key_of_a_node_arrives() {
    let config = valid("node.toml");
    let directory = config.path.as_ref().unwrap().parent().unwrap().to_owned();
    assert_eq!(config.node, "hk-1");
    assert_eq!(config.timezone, chrono_tz::Asia::Kathmandu);
    assert_eq!(config.month_start_day, 15);
    let count = CountConfig {
        backend: BackendChoice::Iptables,
        interfaces: vec!["eth0".to_owned(), "wg*".to_owned()],
        allow_stacked: false,
        count: CountMode::Wire,
        bucket: BucketLength::try_from(Duration::from_secs(10)).unwrap(),
        checkpoint: Duration::from_secs(1),
        max_ports: 2000,
    };
    assert_eq!(config.count, count);
    let ports = PortsConfig {
        watch: BTreeSet::from([443, 8000, 8001, 8002]),
        listening: true,
        files: vec![
            PortFile { path: PathBuf::from("/home/ssr/mudb.json"), format: PortFileFormat::Mudb },
            PortFile { path: directory.join("more.list"), format: PortFileFormat::List },
        ],
    };
    assert_eq!(config.ports, ports);
    assert_eq!(config.users_file, Some(directory.join("csv/users.csv")));
    let fleet = FleetConfig {
        url: FleetUrl { tls: true, host: "clickhouse.example.com".to_owned(), port: 8443 },
        database: "flow".to_owned(),
        user: Some("flow-ship-hk-1".to_owned()),
        password_file: Some(directory.join("clickhouse-password")),
        ca_file: Some(PathBuf::from("/etc/flow-agent/clickhouse-ca.pem")),
        node: "hk-0".to_owned(),
    };
    assert_eq!(config.fleet, Some(fleet));
}

#[test]
fn a_users_file_as_spreadsheets_write_it_is_read() {
    // With a byte order mark, CR LF, a quoted field, and names that are not ASCII.
    let config = valid("node.toml");
    let first = User {
        name: "acct-1".to_owned(),
        ports: BTreeSet::from([8388, 9000, 9001]),
        email: Some("one@example.com".to_owned()),
        quota_bytes: Some(1_610_612_736),
        language: Language::Chinese,
        on_quota: OnQuota::Drop,
        expires: chrono::NaiveDate::from_ymd_opt(2026, 12, 31),
        used: Some(UsedBefore { bytes: 1 << 30, month: "2026-10".parse().ok() }),
        nodes: BTreeSet::from(["hk-1".to_owned(), "us-1".to_owned()]),
        shares: BTreeMap::from([("hk-1".to_owned(), 1 << 30), ("us-1".to_owned(), 1 << 29)]),
    };
    let second = User { name: "张三".to_owned(), ports: BTreeSet::from([9100, 9102]), ..User::default() };
    assert_eq!(config.users, [first, second]);
}

#[test]
fn every_key_of_a_main_node_arrives() {
    let config = valid("main-node.toml");
    let directory = config.path.as_ref().unwrap().parent().unwrap().to_owned();
    assert_eq!(config.users[0].quota_bytes, Some(500_000_000_000));
    assert_eq!(config.users[1].ports, BTreeSet::from([443]));
    assert_eq!(config.nodes[0].source, NodeSource::Local);
    let ssh = NodeSource::Ssh {
        host: "2001:db8::7".to_owned(),
        user: Some("flow".to_owned()),
        port: 2222,
        identity_file: Some(directory.join("id_ed25519")),
    };
    assert_eq!(config.nodes[1].source, ssh);
    assert_eq!(config.nodes[1].aliases, ["sg-0"]);
    let report = ReportConfig {
        known_hosts: PathBuf::from("/etc/flow-agent/known_hosts"),
        deadline: Duration::from_secs(90),
        min_coverage: 1.0,
        final_after: chrono::TimeDelta::days(10),
        billed: Billed::Max,
        price: Some(Price { per: 1 << 30, amount: "0.10".parse().unwrap(), currency: "CNY".to_owned() }),
        templates: None,
        incomplete: IncompleteLetters::Withhold,
    };
    assert_eq!(config.report, report);
    let mail = MailConfig {
        server: MailServer { host: "::1".to_owned(), port: 2525, security: MailSecurity::Insecure },
        username: None,
        password_file: None,
        ca_file: None,
        from: "Flow Agent <report@example.com>".to_owned(),
        admins: vec!["ops@example.com".to_owned()],
    };
    assert_eq!(config.mail, Some(mail));
}

#[test]
fn every_key_of_quotas_and_channels_arrives() {
    let config = valid("quotas.toml");
    let directory = config.path.as_ref().unwrap().parent().unwrap().to_owned();
    let limits = LimitsConfig { warn: vec![50, 95], never: BTreeSet::from([22, 2222, 2223]), port_files: true };
    assert_eq!(config.limits, limits);
    let [divided, plain] = &config.users[..] else { panic!("two users are configured") };
    // 300 GiB and 200 GiB, computed by hand.
    assert_eq!(divided.quota_bytes, Some(536_870_912_000));
    assert_eq!(divided.quota_on("us-1"), Some(214_748_364_800));
    assert_eq!(divided.nodes, BTreeSet::from(["hk-1".to_owned(), "us-1".to_owned()]));
    assert_eq!(divided.on_quota, OnQuota::Drop);
    assert_eq!(divided.expires, chrono::NaiveDate::from_ymd_opt(2026, 12, 31));
    assert_eq!(divided.used, Some(UsedBefore { bytes: 128_849_018_880, month: None }));
    assert_eq!((plain.on_quota, plain.used), (OnQuota::Count, None));
    let webhook = ChannelConfig {
        name: "billing".to_owned(),
        kind: ChannelKind::Webhook,
        url_file: directory.join("billing-url"),
        secret_file: Some(PathBuf::from("/etc/flow-agent/billing-secret")),
        template: Some(directory.join("billing.json")),
        ca_file: None,
        language: Language::Chinese,
        events: BTreeSet::from([NoticeEvent::Warn, NoticeEvent::Cut]),
    };
    let bark = ChannelConfig {
        name: "bark".to_owned(),
        kind: ChannelKind::Bark,
        url_file: PathBuf::from("/etc/flow-agent/bark-url"),
        secret_file: None,
        template: None,
        ca_file: Some(directory.join("ca.pem")),
        language: Language::English,
        events: BTreeSet::from(NoticeEvent::ALL),
    };
    assert_eq!(config.notify, [webhook, bark]);
}

#[test]
fn an_empty_file_is_a_configuration() {
    let config = valid("empty.toml");
    assert_eq!(config.count.interfaces, ["auto"]);
    assert!(!config.ports.listening);
}
