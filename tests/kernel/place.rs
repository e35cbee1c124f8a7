//! Where `auto` attaches on the running kernel, and that what it counts there is read from memory.

use std::process::Command;

use flow_agent::backend::Place;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use serde_json::Value;

use crate::common::netns::{HOST4, PEER4, Pair, WAN, inside, run};
use crate::support::{has_tcx, options, pinned_sets, pins, read, send, start};

#[test]
fn auto_attaches_by_links_where_the_kernel_has_tcx_and_by_filters_elsewhere() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        assert_eq!(options.place, Place::Auto);
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

/// The words of all elements of a pinned array, as the kernel hands them to whoever looks them up.
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
        // Nobody sends UDP but this test: bytes and packets that came in are the fifth and sixth word of a line.
        let lines = looked_up(&cells);
        let sum = |word: usize| lines.iter().map(|line| line[word]).sum::<u64>();
        assert_eq!((sum(4), sum(5)), (5 * (20 + 8 + 100), 5));
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
        let counters = read(&mut *backend, 443);
        assert_eq!((counters.udp_in_bytes, counters.udp_in_packets), (640, 5));
    });
}
