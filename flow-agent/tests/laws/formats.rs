//! Checks every format on a current and an older file, and on damaged versions of these.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flow_agent::ports::formats::of;
use flow_agent::ports::{Listed, PanelQuota, PortFileFormat, QuotaPeriod};

use crate::mutations::{Dice, mutate};
use crate::ports::hold_for;

/// A file in `tests/fixtures/ports`, with the correct result.
struct Case {
    format: PortFileFormat,
    file: &'static str,
    ports: &'static [(u16, Option<&'static str>)],
    complaints: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        format: PortFileFormat::Mudb,
        file: "mudb/current.json",
        ports: &[(8388, Some("ada")), (8389, Some("bob"))],
        complaints: &["user \"100001\" is not counted: port 100001 is out of range, expected 1 to 65535"],
    },
    Case {
        format: PortFileFormat::List,
        file: "list/current.list",
        ports: &[(443, None), (8388, Some("ada")), (9000, Some("bob")), (9001, Some("bob")), (9002, Some("bob"))],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::PortTrafficDog,
        file: "port-traffic-dog/current.json",
        ports: &[(443, None), (8388, Some("ada")), (9000, Some("bob")), (9001, Some("bob")), (9002, Some("bob"))],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::PortTrafficDog,
        file: "port-traffic-dog/older.json",
        ports: &[(8388, Some("ada")), (8389, None), (8390, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Shadowsocks,
        file: "shadowsocks/current.json",
        ports: &[(8388, Some("ada")), (8389, Some("bob")), (8390, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Shadowsocks,
        file: "shadowsocks/older.json",
        ports: &[(8381, None), (8382, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Shadowsocks,
        file: "shadowsocks/single.json",
        ports: &[(8388, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Realm,
        file: "realm/current.toml",
        ports: &[(5000, None), (10_000, Some("ada"))],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Realm,
        file: "realm/current.json",
        ports: &[(5000, None), (10_000, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Realm,
        file: "realm/older.json",
        ports: &[(443, None), (8080, None), (8081, None), (8082, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Xray,
        file: "xray/current.json",
        ports: &[
            (53, Some("dora")),
            (443, Some("ada@example.com")),
            (1000, Some("dora")),
            (1001, Some("dora")),
            (1002, Some("dora")),
            (8443, None),
        ],
        complaints: &[
            "inbound \"from-env\" is not counted: its port is in the environment variable \"XRAY_PORT\", which is not \
             set",
        ],
    },
    Case {
        format: PortFileFormat::Xray,
        file: "xray/older.json",
        ports: &[(10_086, Some("ada")), (10_087, None), (10_088, None)],
        complaints: &[],
    },
    Case { format: PortFileFormat::Xray, file: "xray/current.yaml", ports: &[(443, Some("ada"))], complaints: &[] },
    Case { format: PortFileFormat::Xray, file: "xray/current.toml", ports: &[(443, Some("ada"))], complaints: &[] },
    Case {
        format: PortFileFormat::SingBox,
        file: "sing-box/current.json",
        ports: &[(443, Some("ada")), (8388, None), (51_820, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::SingBox,
        file: "sing-box/older.json",
        ports: &[(8080, Some("ada")), (8443, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Hysteria2,
        file: "hysteria2/current.yaml",
        ports: &[(443, Some("ada")), (20_000, Some("ada")), (20_001, Some("ada")), (20_002, Some("ada"))],
        complaints: &[],
    },
    Case { format: PortFileFormat::Hysteria2, file: "hysteria2/older.yaml", ports: &[(443, None)], complaints: &[] },
    #[cfg(feature = "sqlite")]
    Case {
        format: PortFileFormat::ThreeXUi,
        file: "3x-ui/v2.db",
        ports: &[(443, Some("ada")), (8443, None), (9000, None)],
        complaints: &[],
    },
    #[cfg(feature = "sqlite")]
    Case {
        format: PortFileFormat::ThreeXUi,
        file: "3x-ui/v3.db",
        ports: &[(443, Some("ada")), (8443, None), (9000, Some("relay"))],
        complaints: &["inbound \"broken\" is not counted: port 70000 is out of range, expected 1 to 65535"],
    },
    #[cfg(feature = "sqlite")]
    Case {
        format: PortFileFormat::Ssmgr,
        file: "ssmgr/node.db",
        ports: &[(50_001, None), (50_002, None)],
        complaints: &[],
    },
    #[cfg(feature = "sqlite")]
    Case {
        format: PortFileFormat::Ssmgr,
        file: "ssmgr/manager.db",
        ports: &[(51_001, Some("ada")), (51_002, Some("bob@example.com")), (51_003, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Docker,
        file: "docker/inspect.json",
        ports: &[(8080, Some("ada")), (25_565, None)],
        complaints: &[],
    },
    Case { format: PortFileFormat::Docker, file: "docker/list.json", ports: &[(8080, Some("ada"))], complaints: &[] },
    Case {
        format: PortFileFormat::Pterodactyl,
        file: "docker/inspect.json",
        ports: &[(25_565, Some("5c0ffee0-0000-4000-8000-000000000001"))],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Frps,
        file: "frps/api.json",
        ports: &[(6000, Some("ada")), (6001, None), (6002, Some("carl"))],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Frps,
        file: "frps/current.toml",
        ports: &[(7000, None), (7001, None), (8080, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Frps,
        file: "frps/older.ini",
        ports: &[(7000, None), (8443, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Gost,
        file: "gost/current.yml",
        ports: &[(8080, Some("ada")), (8443, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Gost,
        file: "gost/older.json",
        ports: &[(8080, None), (8443, None)],
        complaints: &[],
    },
    Case {
        format: PortFileFormat::Nginx,
        file: "nginx/current.conf",
        ports: &[(5353, None), (9000, None), (9001, None), (9002, None), (12_345, None)],
        complaints: &[],
    },
    Case { format: PortFileFormat::Nginx, file: "nginx/older.conf", ports: &[(3306, None)], complaints: &[] },
    Case {
        format: PortFileFormat::Haproxy,
        file: "haproxy/current.cfg",
        ports: &[(80, None), (443, None), (8443, None), (25_565, None), (25_566, None), (25_567, None), (27_015, None)],
        complaints: &[],
    },
    Case { format: PortFileFormat::Haproxy, file: "haproxy/older.cfg", ports: &[(3306, None)], complaints: &[] },
    Case {
        format: PortFileFormat::Wireguard,
        file: "wireguard/current.conf",
        ports: &[(51_820, None)],
        complaints: &[],
    },
    Case { format: PortFileFormat::Wireguard, file: "wireguard/older.conf", ports: &[(51_821, None)], complaints: &[] },
];

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/ports").join(file)
}

fn content(file: &str) -> Vec<u8> {
    std::fs::read(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn parse(format: PortFileFormat, file: &str) -> Listed {
    of(format).parse(&content(file)).unwrap_or_else(|error| panic!("{file}: {error:?}"))
}

fn complaints(listed: &Listed) -> Vec<String> {
    listed.complaints.iter().map(ToString::to_string).collect()
}

#[test]
fn current_and_older_files_of_every_format_are_read() {
    for Case { format, file, ports, complaints: expected } in CASES {
        let listed = parse(*format, file);
        let found: Vec<_> = listed.owners.iter().map(|(port, owner)| (*port, owner.as_deref())).collect();
        assert_eq!(&found, ports, "{file}");
        assert_eq!(&complaints(&listed), expected, "{file}");
    }
}

#[test]
fn what_files_say_besides_owners_arrives() {
    let month = |bytes, first_day| Some(PanelQuota { bytes, period: QuotaPeriod::Month { first_day } });
    let unlimited = |bytes| Some(PanelQuota { bytes, period: QuotaPeriod::Unlimited });

    let dog = parse(PortFileFormat::PortTrafficDog, "port-traffic-dog/current.json");
    let quotas: Vec<_> = [443, 8388, 9000].map(|port| dog.details.get(&port).and_then(|detail| detail.quota)).into();
    assert_eq!(quotas, [None, month(500 << 30, Some(5)), unlimited(2 << 40)]);
    let dog = parse(PortFileFormat::PortTrafficDog, "port-traffic-dog/older.json");
    let quotas: Vec<_> = [8388, 8389, 8390].map(|port| dog.details.get(&port).and_then(|detail| detail.quota)).into();
    assert_eq!(quotas, [month(100 << 30, Some(2)), unlimited(300 << 20), None]);

    let gost = parse(PortFileFormat::Gost, "gost/current.yml");
    let detail = &gost.details[&8080];
    assert_eq!((detail.label.as_deref(), detail.quota), (Some("service-ada"), unlimited(100 << 30)));
    assert_eq!(detail.expires_at.unwrap().to_rfc3339(), "2026-12-31T00:00:00+00:00");

    let label = |listed: &Listed, port: u16| listed.details[&port].label.clone().unwrap();
    assert_eq!(label(&parse(PortFileFormat::Xray, "xray/current.json"), 443), "reality");
    assert_eq!(label(&parse(PortFileFormat::Haproxy, "haproxy/current.cfg"), 27_015), "games");
    assert_eq!(label(&parse(PortFileFormat::Nginx, "nginx/current.conf"), 9001), "to $target");
    let hysteria2 = parse(PortFileFormat::Hysteria2, "hysteria2/current.yaml");
    let labels: BTreeSet<_> = [443, 20_000, 20_001, 20_002].map(|port| label(&hysteria2, port)).into();
    assert_eq!(labels, BTreeSet::from(["hysteria2 :20000-20002,443".to_owned()]), "they are one group");
}

#[cfg(feature = "sqlite")]
#[test]
fn what_databases_say_besides_owners_arrives() {
    let month = |bytes, first_day| Some(PanelQuota { bytes, period: QuotaPeriod::Month { first_day } });
    let unlimited = |bytes| Some(PanelQuota { bytes, period: QuotaPeriod::Unlimited });
    let v2 = parse(PortFileFormat::ThreeXUi, "3x-ui/v2.db");
    assert_eq!(
        (v2.details[&443].quota, v2.details[&443].label.as_deref()),
        (unlimited(107_374_182_400), Some("reality"))
    );
    // The client expires before the inbound does.
    assert_eq!(v2.details[&443].expires_at.unwrap().to_rfc3339(), "2026-12-31T00:00:00+00:00");
    assert_eq!((v2.details[&8443].quota, v2.details[&9000].quota), (unlimited(1_000), None));
    let v3 = parse(PortFileFormat::ThreeXUi, "3x-ui/v3.db");
    assert_eq!(v3.details[&443].quota, month(53_687_091_200, Some(15)));
    assert_eq!(v3.details[&443].expires_at, None, "so long after its first use: nobody knows when that is");
    let manager = parse(PortFileFormat::Ssmgr, "ssmgr/manager.db");
    // Two periods of 30 days from 1 November 2026.
    assert_eq!(manager.details[&51_001].expires_at.unwrap().to_rfc3339(), "2026-12-31T00:00:00+00:00");
}

#[test]
fn a_port_in_the_environment_is_looked_up_there() {
    let environment = |name: &str| (name == "XRAY_PORT").then(|| "2053".to_owned());
    let listed = of(PortFileFormat::Xray).parse_in(&content("xray/current.json"), &environment).unwrap();
    assert!(listed.owners.contains_key(&2053) && listed.complaints.is_empty(), "{listed:?}");
}

/// The text with the port `from` replaced.
fn with_port(text: &str, from: u16, to: &str) -> Option<String> {
    let from = from.to_string();
    let is_number_there = |at: usize| {
        let belongs = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-');
        !belongs(text[..at].chars().next_back()) && !belongs(text[at + from.len()..].chars().next())
    };
    let places: Vec<_> = text.match_indices(&from).map(|(at, _)| at).filter(|at| is_number_there(*at)).collect();
    match places.as_slice() {
        [at] => Some(format!("{}{to}{}", &text[..*at], &text[at + from.len()..])),
        _ => None,
    }
}

#[test]
fn a_port_that_cannot_be_one_is_named_and_the_others_are_taken() {
    let mut tried = 0;
    for Case { format, file, .. } in CASES {
        let Ok(text) = String::from_utf8(content(file)) else { continue };
        let whole = of(*format).parse(text.as_bytes()).unwrap();
        for port in whole.owners.keys() {
            let Some(changed) = with_port(&text, *port, "70000") else { continue };
            // A file whose only port is wrong may be rejected because it names none.
            let Ok(listed) = of(*format).parse(changed.as_bytes()) else {
                assert_eq!(whole.owners.len(), 1, "{file}: {port}");
                continue;
            };
            tried += 1;
            // A row may list several ports, all of which are then left out.
            assert!(!listed.owners.contains_key(port), "{file}: {port}");
            assert_eq!(listed.complaint_count(), whole.complaint_count() + 1, "{file}: {port}");
            let named = complaints(&listed).into_iter().any(|text| text.contains("port 70000 is out of range"));
            assert!(named, "{file}: {port}: {:?}", listed.complaints);
            let owner = whole.owners[port].as_ref();
            let left_out = whole.owners.len() - listed.owners.len();
            let of_owner = whole.owners.values().filter(|other| owner.is_some() && other.as_ref() == owner).count();
            assert!(left_out == 1 || left_out <= of_owner, "{file}: {port}: {left_out} ports are gone");
        }
    }
    assert!(tried >= 40, "only {tried} ports were changed");
}

#[test]
fn a_file_that_is_cut_is_refused_or_loses_only_what_comes_later() {
    for Case { format, file, .. } in CASES {
        let bytes = content(file);
        let whole = of(*format).parse(&bytes).unwrap();
        // If a service is cut off before the line that says that it listens elsewhere, it is counted, which does no
        // harm. A port number must not result from cutting off a longer one.
        let text = String::from_utf8_lossy(&bytes);
        let numbers: BTreeSet<&str> = text.split(|c: char| !c.is_ascii_digit()).collect();
        // For a database of several pages, not every length needs to be tried.
        let step = if bytes.starts_with(b"SQLite") { 997 } else { 1 };
        for length in (0..bytes.len()).step_by(step) {
            if let Ok(listed) = of(*format).parse(&bytes[..length]) {
                let known = |(port, _): (&u16, &Option<String>)| {
                    whole.owners.contains_key(port) || numbers.contains(port.to_string().as_str())
                };
                assert!(listed.owners.iter().all(known), "{file} cut at {length}: {:?}", listed.owners);
            }
        }
    }
}

/// How many times each file is damaged: a thousand, or as many as `FLOW_AGENT_MUTATIONS` says.
fn mutations() -> usize {
    std::env::var("FLOW_AGENT_MUTATIONS").map_or(1_000, |count| count.parse().unwrap())
}

/// The CPU time of this thread, because on a busy machine it also has to wait.
fn cpu_secs() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).tv_sec
}

#[test]
fn a_thousand_mutations_of_every_file_are_read_or_refused() {
    let all: Vec<_> = CASES.iter().map(|case| content(case.file)).collect();
    for (number, Case { format, file, .. }) in CASES.iter().enumerate() {
        let mut dice = Dice(number as u64);
        let mut refused = 0;
        for mutation in 0..mutations() {
            let mut bytes = content(file);
            mutate(&mut bytes, &mut dice, &all);
            let begun_secs = cpu_secs();
            refused += usize::from(!hold_for(*format, &bytes));
            let took_secs = cpu_secs() - begun_secs;
            assert!(took_secs < 5, "{file}: mutation {mutation} takes {took_secs} s");
        }
        eprintln!("{}: {file}: {} mutations, {refused} refused", format.name(), mutations());
        assert!(refused > 0, "{file}: nothing was refused");
    }
}
