//! The metrics as a real Prometheus sees them while agents are killed, replaced and switched: they never decrease, and
//! in the end they agree with the log.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use flow_agent::answer::client;
use serde_json::Value;

use crate::agent::Node;
use crate::common::daemon::{Daemon, in_netns, wait_until};
use crate::common::have_program;
use crate::common::netns::{Pair, WAN, inside};
use crate::common::paced::{Families, Paced, Refused};

const LISTEN: &str = "\n[metrics]\nlisten = \"127.0.0.1:9177\"\n";

/// The metrics of `node` in the text format that every reader accepts.
fn metrics(node: &Node) -> String {
    let (status, body) = client::get(&node.socket(), "/metrics").unwrap();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    String::from_utf8(body.to_vec()).unwrap()
}

/// The series of `name` and their values, with the labels as they are written.
fn series(text: &str, name: &str) -> BTreeMap<String, u64> {
    let of_name = |line: &str| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        Some((labels.to_owned(), value.parse().unwrap()))
    };
    text.lines().filter_map(of_name).collect()
}

#[test]
fn promtool_has_nothing_to_complain_of() {
    if !have_program("promtool", "metrics") {
        return;
    }
    let Some(pair) = Pair::make() else { return };
    let mut node =
        Node::new(&pair, &[443], "[[users]]\nname = \"a \\\"b\\\" \\\\ c\"\nports = [443]\nquota = \"1 MiB\"\n");
    node.start(&[]);
    let text = metrics(&node);
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{text}", String::from_utf8_lossy(&said));
    assert_eq!(series(&text, "flow_agent_quota_bytes").len(), 1, "{text}");
    node.stop();
}

#[test]
fn above_two_thousand_ports_only_users_and_named_ports_have_series() {
    let Some(pair) = Pair::make() else { return };
    let ports: Vec<u16> = (10_000..12_001).collect();
    let mut node = Node::new(&pair, &ports, "[[users]]\nname = \"alice\"\nports = [10000]\n");
    node.start(&[]);
    let text = metrics(&node);
    assert_eq!(series(&text, "flow_agent_port_bytes_total").len(), 0);
    assert_eq!(series(&text, "flow_agent_ports_without_series").into_values().collect::<Vec<_>>(), [2_001]);
    assert_eq!(series(&text, "flow_agent_user_bytes_total").len(), 2);
    node.stop();
    node.append_config("[metrics]\nports = [10000, \"11000-11001\"]\n");
    node.start(&[]);
    let text = metrics(&node);
    // Three ports, two protocols, two directions.
    assert_eq!(series(&text, "flow_agent_port_bytes_total").len(), 12);
    node.stop();
}

/// A Prometheus in the host, which scrapes the agent once a second.
struct Prometheus<'a> {
    pair: &'a Pair,
    _server: Daemon,
    _directory: tempfile::TempDir,
}

impl<'a> Prometheus<'a> {
    fn start(pair: &'a Pair) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("prometheus.yml");
        let text = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- job_name: flow-agent\n  static_configs: [{targets: ['127.0.0.1:9177']}]\n";
        std::fs::write(&config, text).unwrap();
        let mut command = in_netns(&pair.host, "prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()));
        command.args(["--web.listen-address=127.0.0.1:9090", "--log.level=error"]);
        let server = Daemon::start(command.stdin(Stdio::null())).unwrap();
        Self { pair, _server: server, _directory: directory }
    }

    /// The result of a query; `None` while the server does not answer.
    fn query(&self, query: &str) -> Option<Vec<Value>> {
        let encoded = query.replace('[', "%5B").replace(']', "%5D");
        let answer = inside(&self.pair.host, || -> std::io::Result<String> {
            let mut stream = TcpStream::connect("127.0.0.1:9090")?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(stream, "GET /api/v1/query?query={encoded} HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        let answer = answer.ok()?;
        let json: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        json["data"]["result"].as_array().cloned()
    }

    /// The newest value of a port's bytes that was scraped.
    fn newest(&self, direction: &str) -> Option<u64> {
        let found = self.query("flow_agent_port_bytes_total")?;
        let of_direction = found
            .iter()
            .find(|series| series["metric"]["protocol"] == "udp" && series["metric"]["direction"] == direction)?;
        of_direction["value"][1].as_str()?.parse().ok()
    }
}

#[test]
fn what_prometheus_saw_is_what_the_log_says_through_kills_and_a_switch_of_backend() {
    if !have_program("prometheus", "metrics") {
        return;
    }
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], LISTEN);
    node.replace_config("bucket = \"1h\"", "bucket = \"5s\"");
    let prometheus = Prometheus::start(&pair);
    node.start(&["--interface", WAN]);
    let scraped = |what: &str, at_least: u64| {
        wait_until(what, Duration::from_secs(60), || prometheus.newest("in").is_some_and(|value| value >= at_least));
    };
    scraped("the first scrape", 0);
    let traffic = Paced::begin(&pair, &[443], Families::V4, &Refused::default());
    let mut seen = 0;
    let mut goes_on = |what: &str| {
        scraped(what, seen + 20_000);
        seen = prometheus.newest("in").unwrap();
    };
    goes_on("traffic is scraped");
    node.kill();
    node.start(&["--interface", WAN]);
    goes_on("traffic is scraped after a kill");
    node.stop();
    node.start(&["--interface", WAN, "--iptables"]);
    goes_on("traffic is scraped of iptables");
    node.kill();
    node.start(&["--interface", WAN]);
    goes_on("traffic is scraped of eBPF again");
    traffic.end();
    let says = || {
        let series = series(&metrics(&node), "flow_agent_port_bytes_total");
        let of = |direction: &str| {
            let labels = format!("node=\"node\",port=\"443\",protocol=\"udp\",direction=\"{direction}\"");
            series[&labels]
        };
        [of("in"), of("out")]
    };
    wait_until("all of it is scraped", Duration::from_secs(60), || {
        [prometheus.newest("in"), prometheus.newest("out")] == says().map(Some)
    });
    let all = prometheus.query("flow_agent_port_bytes_total[30m]").unwrap();
    let increases = prometheus.query("increase(flow_agent_port_bytes_total[30m])").unwrap();
    node.stop();

    let totals = &node.totals()[&443];
    assert_eq!(all.len(), 4, "two protocols, two directions");
    for series in &all {
        let (protocol, direction) =
            (series["metric"]["protocol"].as_str().unwrap(), series["metric"]["direction"].as_str().unwrap());
        let values: Vec<u64> = series["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value[1].as_str().unwrap().parse().unwrap())
            .collect();
        assert!(values.is_sorted(), "{protocol} {direction}: {values:?}");
        let logged = totals[&format!("{protocol}_{direction}_bytes")];
        let difference = values.last().unwrap() - values[0];
        assert_eq!(difference, logged, "{protocol} {direction}: {values:?}");
        let increase = increases
            .iter()
            .find(|found| {
                ["protocol", "direction"].iter().all(|label| found["metric"][label] == series["metric"][label])
            })
            .unwrap();
        println!(
            "{protocol} {direction}: the log {logged}, last minus first {difference}, increase {} over {} scrapes",
            increase["value"][1],
            values.len()
        );
    }
    assert!(totals["udp_in_bytes"] > 80_000);
}
