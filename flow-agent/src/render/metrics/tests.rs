use super::*;

fn sample() -> Metrics {
    let counters = Counters { tcp_in_bytes: 1_234, tcp_in_packets: 5, udp_out_bytes: u64::MAX, ..Counters::default() };
    Metrics {
        node: "hk-1".into(),
        version: "0.1.0".into(),
        backend: "ebpf".into(),
        count: "ip".into(),
        started_at: 1_790_000_000,
        last_seal: Some(1_790_003_600),
        shipped: Some(1_790_000_000),
        attached: true,
        interfaces: vec!["eth0".into()],
        watched_ports: 2,
        ports_left_out: 1,
        ports: vec![(443, counters)],
        users: vec![("a \"quoted\" \\ name".into(), counters)],
        quotas: vec![("alice".into(), 500)],
        used: vec![("alice".into(), 450)],
        gap_seconds: 12,
        complaints: vec![("/home/ssr/mudb.json".into(), 3)],
        ..Metrics::default()
    }
}

#[test]
fn counters_are_named_as_each_format_wants_them() {
    let open = open_metrics(sample());
    for line in [
        "# TYPE flow_agent_port_bytes counter",
        r#"flow_agent_port_bytes_total{node="hk-1",port="443",protocol="tcp",direction="in"} 1234"#,
        r#"flow_agent_build_info{node="hk-1",version="0.1.0",backend="ebpf",count="ip"} 1"#,
        r#"flow_agent_last_seal_timestamp_seconds{node="hk-1"} 1790003600"#,
        r#"flow_agent_shipped_timestamp_seconds{node="hk-1"} 1790000000"#,
        r#"flow_agent_user_bytes_total{node="hk-1",user="a \"quoted\" \\ name",direction="in"} 1234"#,
    ] {
        assert!(open.lines().any(|found| found == line), "{line} is not in\n{open}");
    }
    assert!(open.ends_with("# EOF\n"));
    let older = prometheus(sample());
    for line in [
        "# TYPE flow_agent_port_bytes_total counter",
        "# TYPE flow_agent_build_info gauge",
        "# HELP flow_agent_gap_seconds_total Seconds that were not measured on every interface, since metrics were first asked for.",
        r#"flow_agent_gap_seconds_total{node="hk-1"} 12"#,
    ] {
        assert!(older.lines().any(|found| found == line), "{line} is not in\n{older}");
    }
    assert!(!older.contains("# EOF"));
}

#[test]
fn what_is_not_known_has_no_series() {
    let text = open_metrics(Metrics { last_seal: None, shipped: None, ..sample() });
    assert!(!text.contains("flow_agent_shipped_timestamp_seconds{"), "{text}");
    assert!(!text.contains("flow_agent_last_seal_timestamp_seconds{"), "{text}");
}
