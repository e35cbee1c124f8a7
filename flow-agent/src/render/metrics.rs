//! The metrics as OpenMetrics text, and in Prometheus' older text format.
//!
//! Counters are sums over the whole log and what came after it, so they never decrease: neither at a restart, nor with
//! new counters in the kernel. Prometheus stores numbers as floats, which are exact up to 2^53 bytes (8 PiB) per
//! series.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::ledger::counters::{Counters, Flow, Others};

/// The values of the metrics.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub node: String,
    pub version: String,
    /// `ebpf` or `iptables`.
    pub backend: String,
    /// `ip` or `wire`.
    pub count: String,
    /// In seconds since 1970.
    pub started_at: i64,
    /// The end of the newest bucket on disk, in seconds since 1970.
    pub last_seal: Option<i64>,
    /// The end of the newest bucket that ClickHouse has acknowledged, in seconds since 1970; `None` if hours are not
    /// sent there.
    pub shipped: Option<i64>,
    pub attached: bool,
    pub interfaces: Vec<String>,
    pub waiting_buckets: u64,
    pub damages: u64,
    /// How many ports are counted.
    pub watched_ports: u64,
    /// How many of them have no series of their own.
    pub ports_left_out: u64,
    pub ports: Vec<(u16, Counters)>,
    pub users: Vec<(String, Counters)>,
    pub quotas: Vec<(String, u64)>,
    pub used: Vec<(String, u64)>,
    pub other: Others,
    pub gap_seconds: u64,
    /// The number of rows that cannot be counted, by port file.
    pub complaints: Vec<(String, u64)>,
}

/// The OpenMetrics text.
pub fn open_metrics(metrics: Metrics) -> String {
    let node = metrics.node.clone();
    let mut registry = Registry::with_labels([(Cow::Borrowed("node"), Cow::Owned(node))].into_iter());
    registry.register_collector(Box::new(metrics));
    let mut written = String::new();
    text::encode(&mut written, &registry).expect("writing to a String cannot fail");
    written
}

/// The metrics in the text format 0.0.4, in which a counter is named with its `_total`, and infos do not exist.
pub fn prometheus(metrics: Metrics) -> String {
    let mut written = String::new();
    let open_metrics = open_metrics(metrics);
    let mut lines = open_metrics.lines().filter(|line| *line != "# EOF").peekable();
    while let Some(line) = lines.next() {
        let line = match line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            Some((name, help)) => {
                // The type is on the next line.
                let kind = lines.next_if(|next| next.starts_with("# TYPE ")).and_then(|next| next.rsplit(' ').next());
                let (suffix, kind) = match kind {
                    Some("counter") => ("_total", "counter"),
                    Some("info") => ("_info", "gauge"),
                    Some(other) => ("", other),
                    None => ("", "untyped"),
                };
                format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}")
            }
            None => line.to_owned(),
        };
        written.push_str(&line);
        written.push('\n');
    }
    written
}

/// One series: its labels and its value.
type Series<const LABELS: usize, V> = ([(&'static str, String); LABELS], V);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        self.encode_agent(&mut encoder)?;
        self.encode_ports(&mut encoder)?;
        self.encode_users(&mut encoder)?;
        self.encode_others(&mut encoder)
    }
}

impl Metrics {
    fn encode_agent(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let labels = [("version", &self.version), ("backend", &self.backend), ("count", &self.count)];
        let labels = labels.map(|(name, value)| (name, value.clone()));
        encoder
            .encode_descriptor("flow_agent_build", "The agent, and how it counts.", None, MetricType::Info)?
            .encode_info(&labels)?;
        let started = [([], self.started_at)];
        gauge(encoder, "flow_agent_start_time_seconds", "When this agent started, since 1970.", started)?;
        let seal = self.last_seal.map(|at| ([], at));
        let help = "End of the newest sealed bucket on disk, since 1970.";
        gauge(encoder, "flow_agent_last_seal_timestamp_seconds", help, seal)?;
        let shipped = self.shipped.map(|at| ([], at));
        let help = "End of the newest bucket that ClickHouse has acknowledged, since 1970.";
        gauge(encoder, "flow_agent_shipped_timestamp_seconds", help, shipped)?;
        let help = "1 while everything that should be counted is attached, else 0.";
        gauge(encoder, "flow_agent_attached", help, [([], i64::from(self.attached))])?;
        let interfaces = self.interfaces.iter().map(|name| ([("interface", name.clone())], 1_i64));
        gauge(encoder, "flow_agent_interface_counted", "1 for every interface that is counted.", interfaces)?;
        let help = "Sealed buckets that could not be written to disk yet.";
        gauge(encoder, "flow_agent_waiting_buckets", help, [([], self.waiting_buckets)])?;
        let help = "Parts of this month's log that could not be used.";
        gauge(encoder, "flow_agent_damaged_log_parts", help, [([], self.damages)])?;
        let complaints = self.complaints.iter().map(|(source, count)| ([("source", source.clone())], *count));
        let help = "Rows of a port file that cannot be counted; flow-agent check names them.";
        gauge(encoder, "flow_agent_source_complaints", help, complaints)?;
        let help = "Seconds that were not measured on every interface, since metrics were first asked for.";
        counter(encoder, "flow_agent_gap_seconds", help, [([], self.gap_seconds)])
    }

    fn encode_ports(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        gauge(encoder, "flow_agent_watched_ports", "Ports that are counted.", [([], self.watched_ports)])?;
        let help = "Counted ports without their own series, because of metrics.ports or because there are more than \
                    2000.";
        gauge(encoder, "flow_agent_ports_without_series", help, [([], self.ports_left_out)])?;
        let series = |pick: fn(Counters) -> [u64; 4]| {
            self.ports.iter().flat_map(move |(port, counters)| {
                let flows = [("tcp", "in"), ("tcp", "out"), ("udp", "in"), ("udp", "out")];
                flows.into_iter().zip(pick(*counters)).map(move |((protocol, direction), value)| {
                    let labels =
                        [("port", port.to_string()), ("protocol", protocol.into()), ("direction", direction.into())];
                    (labels, value)
                })
            })
        };
        let bytes = |c: Counters| [c.tcp_in_bytes, c.tcp_out_bytes, c.udp_in_bytes, c.udp_out_bytes];
        let packets = |c: Counters| [c.tcp_in_packets, c.tcp_out_packets, c.udp_in_packets, c.udp_out_packets];
        counter(encoder, "flow_agent_port_bytes", "IP bytes of a port, whoever owned it.", series(bytes))?;
        counter(encoder, "flow_agent_port_packets", "Packets of a port, whoever owned it.", series(packets))
    }

    fn encode_users(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let bytes = self.users.iter().flat_map(|(user, counters)| {
            [("in", counters.in_bytes()), ("out", counters.out_bytes())]
                .map(|(direction, value)| ([("user", user.clone()), ("direction", direction.into())], value))
        });
        let help = "IP bytes of a user's ports on this node while they were the user's.";
        counter(encoder, "flow_agent_user_bytes", help, bytes)?;
        let by_user = |values: &[(String, u64)]| {
            values.iter().map(|(user, bytes)| ([("user", user.clone())], *bytes)).collect::<Vec<_>>()
        };
        let help = "Quota of a user on this node in a billing month, in bytes.";
        gauge(encoder, "flow_agent_quota_bytes", help, by_user(&self.quotas))?;
        let help = "Billed bytes of a user on this node in this billing month.";
        gauge(encoder, "flow_agent_used_bytes", help, by_user(&self.used))
    }

    fn encode_others(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let Others { other_ports, other_ip, non_ip, other_host, fragment_unmatched, unparsed } = self.other;
        let reasons = [
            ("other_ports", other_ports),
            ("other_ip", other_ip),
            ("non_ip", non_ip),
            ("other_host", other_host),
            ("fragment_unmatched", fragment_unmatched),
            ("unparsed", unparsed),
        ];
        let series = |pick: fn(Flow) -> [u64; 2]| {
            reasons.into_iter().flat_map(move |(reason, flow)| {
                ["in", "out"].into_iter().zip(pick(flow)).map(move |(direction, value)| {
                    ([("reason", reason.into()), ("direction", direction.into())], value)
                })
            })
        };
        let help = "Bytes that belong to no watched port, since metrics were first asked for.";
        counter(encoder, "flow_agent_other_bytes", help, series(|flow| [flow.in_bytes, flow.out_bytes]))?;
        let help = "Packets that belong to no watched port, since metrics were first asked for.";
        counter(encoder, "flow_agent_other_packets", help, series(|flow| [flow.in_packets, flow.out_packets]))
    }
}

fn counter<const LABELS: usize>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = Series<LABELS, u64>>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    series.into_iter().try_for_each(|(labels, value)| ConstCounter::new(value).encode(metric.encode_family(&labels)?))
}

fn gauge<const LABELS: usize, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = Series<LABELS, V>>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    series.into_iter().try_for_each(|(labels, value)| ConstGauge::new(value).encode(metric.encode_family(&labels)?))
}

#[cfg(test)]
mod tests;
