//! Where `auto` attaches on the running kernel, and that its counters there are read from memory.

use std::process::Command;

use flow_agent::backend::{AttachPlace, BackendOptions};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use serde_json::Value;

use crate::common::netns::{HOST4, PEER4, Pair, WAN, inside, run};
use crate::stranger::{TCX_INGRESS, TCX_PASS, attach_first};
use crate::support::{has_tcx, index_of, options, pinned_sets, pins, read, send, start};

#[test]
fn auto_attaches_by_links_where_the_kernel_has_tcx_and_by_filters_elsewhere() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        assert_eq!(options.place, AttachPlace::Auto);
        let _started = start(&options).unwrap();
        let filters = ["ingress", "egress"]
            .map(|direction| pair.host_tc(&["filter", "show", "dev", WAN, direction]).matches("direct-action").count());
        let links = std::fs::read_dir(pins(&pair).join("links")).unwrap();
        // A directory stands for a filter, which cannot be pinned.
        let links = links.filter(|link| link.as_ref().unwrap().file_type().unwrap().is_file()).count();
        let place = match (links, filters) {
            (2, [0, 0]) => "TCX",
            (0, [1, 1]) => "clsact",
            other => panic!("neither one nor the other: {other:?}"),
        };
        println!("fact: place={place}");
        assert_eq!(place, if has_tcx() { "TCX" } else { "clsact" });
    });
}

/// How many devices there are besides the pair's.
const MANY: usize = 101;

/// Makes them in the pair's host.
fn make_many(pair: &Pair) {
    let add = |number: usize| format!("link add many{number} type veth peer name other{number}\n");
    let batch: String = (0..MANY).map(add).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), batch).unwrap();
    pair.host_ip(&["-batch", file.path().to_str().unwrap()]);
}

fn qdiscs(pair: &Pair) -> usize {
    pair.host_tc(&["qdisc", "show"]).matches("qdisc clsact").count()
}

#[test]
fn auto_attaches_to_very_many_devices_by_filters_and_stays_there_until_others_come_before() {
    let Some(pair) = Pair::make().filter(|_| has_tcx()) else { return };
    make_many(&pair);
    inside(&pair.host, || {
        let many = BackendOptions { interfaces: vec!["many*".into()], ..options(&pair, &[443]) };
        let first = start(&many).unwrap();
        assert_eq!((first.backend.interfaces().len(), qdiscs(&pair)), (MANY, MANY));
        let epoch = first.backend.identity().epoch;
        drop(first);
        // There are fewer devices now, but what is attached stays.
        let known = BackendOptions { known_epochs: [epoch].into(), ..many };
        pair.host_ip(&["link", "del", "many0"]);
        let second = start(&known).unwrap();
        assert_eq!((second.backend.interfaces().len(), qdiscs(&pair), second.unseen), (MANY - 1, MANY - 1, vec![]));
        drop(second.backend);
        // A program on TCX would keep packets from a filter, which cannot get in front of it. Links can.
        pair.host_ip(&["link", "set", "many7", "up"]);
        let _stranger = attach_first(index_of("many7"), TCX_INGRESS, TCX_PASS).unwrap();
        let third = start(&known).unwrap();
        assert_eq!(third.backend.interfaces().len(), MANY - 1);
        let filters = pair.host_tc(&["filter", "show", "dev", "many7", "ingress"]);
        assert!(!filters.contains("direct-action"), "{filters}");
    });
}

#[test]
fn auto_attaches_by_links_where_something_keeps_filters_away_from_one_of_very_many_devices() {
    let Some(pair) = Pair::make().filter(|_| has_tcx()) else { return };
    make_many(&pair);
    pair.host_tc(&["qdisc", "add", "dev", "many7", "ingress"]);
    inside(&pair.host, || {
        let many = BackendOptions { interfaces: vec!["many*".into()], ..options(&pair, &[443]) };
        let started = start(&many).unwrap();
        assert_eq!((started.backend.interfaces().len(), qdiscs(&pair)), (MANY, 0));
    });
}

/// The words of all elements of a pinned array, as the kernel returns them to a lookup.
fn looked_up(map: &std::path::Path) -> Vec<[u64; 8]> {
    let dumped: Value =
        serde_json::from_str(&run(Command::new("bpftool").args(["-j", "map", "dump", "pinned"]).arg(map))).unwrap();
    let byte = |text: &Value| u8::from_str_radix(text.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    let words = |element: &Value| {
        let bytes: Vec<u8> = element["value"].as_array().unwrap().iter().map(byte).collect();
        std::array::from_fn(|word| u64::from_ne_bytes(bytes[8 * word..8 * word + 8].try_into().unwrap()))
    };
    dumped.as_array().unwrap().iter().map(words).collect()
}

#[test]
fn what_is_read_from_memory_is_what_the_kernel_hands_out_and_needs_no_capability() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let mut backend = start(&options(&pair, &[443])).unwrap().backend;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        let [set] = pinned_sets(&pair).try_into().unwrap();
        let cells = pins(&pair).join(set).join("CELLS");
        let shown: Value =
            serde_json::from_str(&run(Command::new("bpftool").args(["-j", "map", "show", "pinned"]).arg(&cells)))
                .unwrap();
        // BPF_F_MMAPABLE
        assert_eq!(shown["flags"], 0x400);
        // Only this test sends UDP. Bytes and packets that came in are the fifth and the sixth word of a line.
        let lines = looked_up(&cells);
        let sum = |word: usize| lines.iter().map(|line| line[word]).sum::<u64>();
        assert_eq!((sum(4), sum(5)), (5 * (20 + 8 + 100), 5));
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
        let counters = read(&mut *backend, 443);
        assert_eq!((counters.udp_in_bytes, counters.udp_in_packets), (640, 5));
    });
}
