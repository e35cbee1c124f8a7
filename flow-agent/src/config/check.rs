//! PURE: turns the keys of the file into the configuration: fills in the defaults, and checks what concerns several
//! keys.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use toml::Spanned;

use super::error::{ConfigError, FilePosition, Positions};
use super::file::{self, File};
use super::shape::{Text, UserNodes};
use super::users::{self, Declared};
use super::value::{NodeName, SocketPath, UserName, Value as _};
use super::{Config, CountConfig, LimitsConfig, ReportConfig};
use crate::answer::{AnswerConfig, MetricsPorts};
use crate::backend::BackendChoice;
use crate::fleet::FleetConfig;
use crate::gather::{NodeConfig, NodeSource};
use crate::ledger::amount::Units;
use crate::ledger::billing::Price;
use crate::ledger::calendar::BucketLength;
use crate::ledger::limits::notice::NoticeEvent;
use crate::ledger::units::Written;
use crate::ledger::user::{UsedBefore, User};
use crate::mail::MailConfig;
use crate::notify::{ChannelConfig, ChannelKind};
use crate::ports::{MAX_PORTS, PortFile, PortsConfig};
use crate::store::retention::RetentionConfig;

const STATE_DIR: &str = "/var/lib/flow-agent";

/// The system's values for keys that the file does not set.
#[derive(Clone, Debug)]
pub(super) struct System {
    pub(super) host_name: String,
    pub(super) zone: SystemZone,
}

/// The time zone of the system.
#[derive(Clone, Debug)]
pub(super) enum SystemZone {
    Known(Tz),
    /// Its name is not an IANA name.
    Unknown(String),
    /// There is a zone, but nothing says which.
    Unnamed,
}

/// The file that is being checked.
pub(super) struct Source<'a>(Positions<'a>);

impl<'a> Source<'a> {
    /// `text` is the content of `path`.
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        Self(Positions::new(path, text))
    }

    fn place<T>(&self, value: &Spanned<T>) -> FilePosition {
        self.0.of(value.span().start)
    }

    /// Resolves a path relative to the directory of the file that names it.
    fn resolve(&self, path: Text<PathBuf>) -> PathBuf {
        match self.0.path().parent() {
            Some(directory) => directory.join(path.0),
            None => path.0,
        }
    }
}

/// The configuration that results from `file` and `system`; the users of `users_file` are not in it yet.
pub(super) fn check(file: File, source: &Source<'_>, system: &System) -> Result<Config, ConfigError> {
    let state_dir = file.state_dir.map_or_else(|| PathBuf::from(STATE_DIR), |path| source.resolve(path));
    let nodes = nodes(file.nodes, source, &state_dir)?;
    let declared = file.users.into_iter().map(|user| declare(user, source)).collect::<Result<Vec<_>, _>>()?;
    let node = node_name(file.node, system)?;
    Ok(Config {
        path: Some(source.0.path().to_owned()),
        fleet: file.fleet.map(|fleet| self::fleet(fleet, source, &node)).transpose()?,
        node,
        state_dir,
        timezone: zone(file.timezone, system)?,
        month_start_day: file.month_start_day.map_or(1, |day| day.0),
        bpffs: file.bpffs.map_or_else(|| PathBuf::from("/sys/fs/bpf"), |path| source.resolve(path)),
        count: count(file.count),
        ports: ports(file.ports, source),
        answer: answer(file.socket, file.metrics),
        users: users::merge(&declared, &[])?,
        users_file: file.users_file.map(|path| source.resolve(path)),
        users_encoding: None,
        nodes,
        report: report(file.report, source),
        show: Units {
            prefixes: file.show.units.map(|units| units.0).unwrap_or_default(),
            rates: file.show.rates.map(|rates| rates.0).unwrap_or_default(),
        },
        mail: file.mail.map(|mail| self::mail(mail, source)).transpose()?,
        limits: limits(file.limits),
        notify: notify(file.notify, source)?,
        retention: retention(file.retention),
        declared,
    })
}

fn retention(retention: file::Retention) -> RetentionConfig {
    let default = RetentionConfig::default();
    RetentionConfig {
        compress_after: retention.compress_after.map_or(default.compress_after, |limit| limit.0.0),
        hours: retention.hours.map_or(default.hours, |limit| limit.0.0),
    }
}

fn node_name(name: Option<Text<NodeName>>, system: &System) -> Result<String, ConfigError> {
    if let Some(name) = name {
        return Ok(name.0.0);
    }
    match NodeName::parse(&system.host_name) {
        Ok(name) => Ok(name.0),
        Err(_) => Err(ConfigError::HostName { found: system.host_name.clone() }),
    }
}

fn zone(zone: Option<Text<Tz>>, system: &System) -> Result<Tz, ConfigError> {
    match (zone, &system.zone) {
        (Some(zone), _) => Ok(zone.0),
        (None, SystemZone::Known(zone)) => Ok(*zone),
        (None, SystemZone::Unknown(name)) => Err(ConfigError::UnknownSystemZone { found: name.clone() }),
        (None, SystemZone::Unnamed) => Err(ConfigError::SystemZone),
    }
}

fn count(count: file::Count) -> CountConfig {
    CountConfig {
        backend: count.backend.map_or(BackendChoice::Auto, |backend| backend.0),
        interfaces: match count.interfaces {
            Some(interfaces) => interfaces.0.into_iter().map(|interface| interface.0.0).collect(),
            None => vec!["auto".to_owned()],
        },
        allow_stacked: count.allow_stacked,
        count: count.count.map(|count| count.0).unwrap_or_default(),
        bucket: count.bucket.map_or(BucketLength::HOUR, |bucket| bucket.0),
        checkpoint: count.checkpoint.map_or(Duration::from_secs(30), |checkpoint| checkpoint.0.0),
        max_ports: count.max_ports.map_or(MAX_PORTS, |ports| ports.0),
    }
}

fn ports(ports: file::WatchedPorts, source: &Source<'_>) -> PortsConfig {
    let file = |file: file::PortFile| PortFile { path: source.resolve(file.path), format: file.format.0 };
    PortsConfig {
        watch: ports.watch.into_iter().flat_map(|range| range.0).collect(),
        listening: ports.listening,
        files: ports.files.into_iter().map(file).collect(),
    }
}

fn answer(socket: Option<Text<SocketPath>>, metrics: file::Metrics) -> AnswerConfig {
    AnswerConfig {
        socket: socket.map(|path| path.0.0),
        listen: metrics.listen.map(|address| address.0),
        ports: metrics.ports.map_or(MetricsPorts::All, |ranges| {
            MetricsPorts::These(ranges.into_iter().flat_map(|range| range.0).collect())
        }),
    }
}

fn declare(user: file::User, source: &Source<'_>) -> Result<Declared, ConfigError> {
    let name = user.name.get_ref().0.0.clone();
    if let (Some(month), None) = (&user.used_in, &user.used) {
        return Err(ConfigError::Without { place: source.place(month), given: "used_in", missing: "used" });
    }
    let (nodes, shares_place) = match user.nodes {
        Some(nodes) => (nodes.get_ref().clone(), Some(source.place(&nodes))),
        None => (UserNodes::default(), None),
    };
    let quota = user.quota.map(|quota| quota.into_inner().0.0);
    let (quota_bytes, shares) = divide(&name, quota, &nodes, shares_place)?;
    let month = user.used_in.map(|month| month.into_inner().0);
    Ok(Declared {
        at: source.place(&user.name),
        ports: user.ports.iter().map(|range| (range.get_ref().0.clone(), source.place(range))).collect(),
        user: User {
            name,
            ports: user.ports.into_iter().flat_map(|range| range.into_inner().0).collect(),
            email: user.email.map(|address| address.0.0),
            quota_bytes,
            on_quota: user.on_quota.map(|on_quota| on_quota.0).unwrap_or_default(),
            expires: user.expires.map(|day| day.0.0),
            used: user.used.map(|used| UsedBefore { bytes: used.0.0, month }),
            language: user.language.map(|language| language.0).unwrap_or_default(),
            nodes: nodes.names.into_iter().collect(),
            shares,
        },
    })
}

/// Determines the quota on all nodes together and the share of each. If both are given, they must agree.
pub(super) fn divide(
    user: &str,
    quota: Option<u64>,
    nodes: &UserNodes,
    place: Option<FilePosition>,
) -> Result<(Option<u64>, BTreeMap<String, u64>), ConfigError> {
    let sum = nodes.shares.iter().fold(0_u64, |sum, share| sum.saturating_add(*share));
    let shares = nodes.names.iter().cloned().zip(nodes.shares.iter().copied()).collect::<BTreeMap<_, _>>();
    match (quota, place) {
        (Some(quota), Some(place)) if !shares.is_empty() && quota != sum => {
            let (shares, quota) = (Written(sum), Written(quota));
            Err(ConfigError::Shares { place, user: user.to_owned(), shares, quota })
        }
        (None, _) if !shares.is_empty() => Ok((Some(sum), shares)),
        _ => Ok((quota, shares)),
    }
}

fn limits(limits: file::Limits) -> LimitsConfig {
    let warn = limits.warn.map_or_else(
        || BTreeSet::from([80, 90, 100]),
        |levels| levels.into_inner().into_iter().map(|level| level.0).collect(),
    );
    let never = limits
        .never
        .map_or_else(|| BTreeSet::from([22]), |ports| ports.into_iter().flat_map(|range| range.0).collect());
    LimitsConfig { warn: warn.into_iter().collect(), never, port_files: limits.port_files }
}

fn notify(channels: Vec<file::Notify>, source: &Source<'_>) -> Result<Vec<ChannelConfig>, ConfigError> {
    let mut places = BTreeMap::new();
    let channel = |channel: file::Notify| {
        let (place, name) = (source.place(&channel.name), channel.name.into_inner().0.0);
        if let Some(first) = places.insert(name.clone(), place.clone()) {
            return Err(ConfigError::Twice { place, what: "channel", name, first });
        }
        let kind = channel.kind.0;
        for (key, path) in [("secret_file", &channel.secret_file), ("template", &channel.template)] {
            if let Some(path) = path.as_ref().filter(|_| kind != ChannelKind::Webhook) {
                return Err(ConfigError::OnlyForWebhooks { place: source.place(path), key });
            }
        }
        Ok(ChannelConfig {
            name,
            kind,
            url_file: source.resolve(channel.url_file),
            secret_file: channel.secret_file.map(|path| source.resolve(path.into_inner())),
            template: channel.template.map(|path| source.resolve(path.into_inner())),
            ca_file: channel.ca_file.map(|path| source.resolve(path)),
            language: channel.language.map(|language| language.0).unwrap_or_default(),
            events: match channel.events {
                Some(events) => events.into_iter().map(|event| event.0).collect(),
                None => NoticeEvent::ALL.into_iter().collect(),
            },
        })
    };
    channels.into_iter().map(channel).collect()
}

fn nodes(nodes: Vec<file::Node>, source: &Source<'_>, own_state_dir: &Path) -> Result<Vec<NodeConfig>, ConfigError> {
    // A name becomes a directory on the main node, and an alias leads to it, so each may stand for only one node.
    let mut places = BTreeMap::new();
    for name in nodes.iter().flat_map(|node| std::iter::once(&node.name).chain(&node.aliases)) {
        let (place, name) = (source.place(name), name.get_ref().0.0.clone());
        if let Some(first) = places.insert(name.clone(), place.clone()) {
            return Err(ConfigError::Twice { place, what: "node", name, first });
        }
    }
    nodes.into_iter().map(|node| self::node(node, source, own_state_dir)).collect()
}

fn node(node: file::Node, source: &Source<'_>, own_state_dir: &Path) -> Result<NodeConfig, ConfigError> {
    let place = source.place(&node.name);
    let name = node.name.into_inner().0.0;
    let node_source = match (node.local, node.host) {
        (true, None) => NodeSource::Local,
        (false, Some(host)) => NodeSource::Ssh {
            host: host.0.0,
            user: node.user.map(|user| user.0.0),
            port: node.port.map_or(22, |port| u16::try_from(port.0).expect("a port of the file is at most 65535")),
            identity_file: node.identity_file.map(|path| source.resolve(path)),
        },
        (true, Some(_)) => return Err(ConfigError::NodeSource { place, name, found: "both" }),
        (false, None) => return Err(ConfigError::NodeSource { place, name, found: "neither" }),
    };
    let default_state_dir = match &node_source {
        NodeSource::Local => own_state_dir,
        NodeSource::Ssh { .. } => Path::new(STATE_DIR),
    };
    Ok(NodeConfig {
        name,
        aliases: node.aliases.into_iter().map(|alias| alias.into_inner().0.0).collect(),
        source: node_source,
        state_dir: node.state_dir.map_or_else(|| default_state_dir.to_owned(), |path| source.resolve(Text(path.0.0))),
    })
}

fn report(report: file::Report, source: &Source<'_>) -> ReportConfig {
    let price = |price: file::Price| Price { per: price.per.0.0, amount: price.amount.0, currency: price.currency.0.0 };
    ReportConfig {
        known_hosts: report
            .known_hosts
            .map_or_else(|| PathBuf::from("/etc/flow-agent/known_hosts"), |path| source.resolve(path)),
        deadline: report.deadline.map_or(Duration::from_secs(600), |deadline| deadline.0.0),
        min_coverage: report.min_coverage.map_or(0.999, |share| share.0),
        billed: report.billed.map(|billed| billed.0).unwrap_or_default(),
        price: report.price.map(price),
        templates: report.templates.map(|path| source.resolve(path)),
        final_after: report.final_after.map_or(TimeDelta::days(7), |time| {
            TimeDelta::from_std(time.0.0).expect("a time of the file is at most a year")
        }),
        incomplete: report.incomplete.map(|incomplete| incomplete.0).unwrap_or_default(),
    }
}

fn mail(mail: file::Mail, source: &Source<'_>) -> Result<MailConfig, ConfigError> {
    check_login(&mail.username, "username", &mail.password_file, source)?;
    Ok(MailConfig {
        server: mail.server.0,
        username: mail.username.map(|name| name.into_inner().0.0),
        password_file: mail.password_file.map(|path| source.resolve(path.into_inner())),
        ca_file: mail.ca_file.map(|path| source.resolve(path)),
        from: mail.from.0.0,
        admins: mail.admins.into_iter().map(|admin| admin.0.0).collect(),
    })
}

fn fleet(fleet: file::Fleet, source: &Source<'_>, node: &str) -> Result<FleetConfig, ConfigError> {
    check_login(&fleet.user, "user", &fleet.password_file, source)?;
    Ok(FleetConfig {
        url: fleet.url.0,
        database: fleet.database.map_or_else(|| "flow_agent".to_owned(), |name| name.0.0),
        user: fleet.user.map(|name| name.into_inner().0.0),
        password_file: fleet.password_file.map(|path| source.resolve(path.into_inner())),
        ca_file: fleet.ca_file.map(|path| source.resolve(path)),
        node: fleet.node.map_or_else(|| node.to_owned(), |name| name.0.0),
    })
}

/// Checks that a login has both a name and a password, or neither.
fn check_login(
    name: &Option<Spanned<Text<UserName>>>,
    name_key: &'static str,
    password_file: &Option<Spanned<Text<PathBuf>>>,
    source: &Source<'_>,
) -> Result<(), ConfigError> {
    let half = |place, given, missing| Err(ConfigError::HalfLogin { place, given, missing });
    match (name, password_file) {
        (Some(name), None) => half(source.place(name), name_key, "password_file"),
        (None, Some(path)) => half(source.place(path), "password_file", name_key),
        (Some(_), Some(_)) | (None, None) => Ok(()),
    }
}
