use super::*;

fn layout() -> NftLayout {
    NftLayout {
        name: RuleSetName::new("k3v7qa".into(), 0),
        interfaces: vec!["eth0".into(), "wg0".into()],
        ports: [443, 8388].into(),
        draining: BTreeSet::new(),
        size: 64,
        fragments: Fragments::Reassembled,
        can_cut: false,
    }
}

fn rules(layout: &NftLayout, chain: NftChain) -> Vec<String> {
    let (_, rules) = layout.chains().into_iter().find(|(found, _)| *found == chain).unwrap();
    rules.iter().map(Value::to_string).collect()
}

#[test]
fn there_is_room_for_a_quarter_more_ports_and_at_most_for_all() {
    assert_eq!([0, 50, 51, 1_000, 10_000, 65_530].map(slots), [64, 64, 64, 2_048, 16_384, 65_536]);
}

#[test]
fn packets_of_counted_interfaces_only_reach_the_counters() {
    let entry = layout().entry(Direction::Egress);
    let names: Vec<&Value> = entry.iter().map(|rule| &rule[0]["match"]["right"]).collect();
    assert_eq!(names, ["eth0", "wg0"]);
    assert!(entry.iter().all(|rule| rule[0]["match"]["left"]["meta"]["key"] == "oifname"));
    assert!(entry.iter().all(|rule| rule[1]["goto"]["target"] == "flow-k3v7qa-1aaaaa-out"));
}

#[test]
fn a_frozen_or_cut_port_is_found_before_its_counter() {
    let plain = rules(&layout(), NftChain::Split(Direction::Ingress));
    assert_eq!(plain.len(), 5);
    let draining = NftLayout { draining: [443].into(), ..layout() };
    let frozen = rules(&draining, NftChain::Split(Direction::Ingress));
    assert_eq!(frozen[2..], plain);
    assert!(frozen[0].contains("-still") && frozen[0].contains("-rest-in"), "{}", frozen[0]);
    let cut = rules(&NftLayout { can_cut: true, ..draining }, NftChain::Split(Direction::Ingress));
    assert_eq!(cut[2..], frozen);
    assert!(cut[0].contains("-cut") && cut[0].contains("-cut-in"), "{}", cut[0]);
}

#[test]
fn nothing_drops_a_packet_unless_somebody_has_a_budget() {
    let drops = |layout: &NftLayout| {
        layout.chains().iter().any(|(_, rules)| Value::from(rules.clone()).to_string().contains("drop"))
    };
    assert!(!drops(&layout()));
    assert!(drops(&NftLayout { can_cut: true, ..layout() }));
}

#[test]
fn the_table_is_the_instances() {
    assert_eq!(layout().table(), "flow-k3v7qa");
}

#[test]
fn ipv6_fragments_are_put_together_or_counted_apart() {
    let reassembly = json!([
        { "match": { "op": "==", "left": { "meta": { "key": "l4proto" } }, "right": "tcp" } },
        { "tproxy": { "family": "ip6", "port": 1 } },
    ]);
    assert_eq!(rules(&layout(), NftChain::Reassembly), [reassembly.to_string()]);
    let apart = NftLayout { fragments: Fragments::Apart, ..layout() };
    let offset = json!({ "exthdr": { "name": "frag", "field": "frag-off" } });
    let late = json!([
        { "match": { "op": ">", "left": offset, "right": 0 } },
        { "goto": { "target": "flow-k3v7qa-1aaaaa-fragments-late" } },
    ]);
    let fragments = rules(&apart, NftChain::Fragments);
    let name = apart.chain(NftChain::LateFragments);
    assert_eq!(fragments[0], late.to_string().replace("flow-k3v7qa-1aaaaa-fragments-late", &name));
    assert_eq!(fragments.len(), 2);
    let counted = json!([
        { "match": { "op": "==", "left": { "meta": { "key": "nfproto" } }, "right": format!("@{}", apart.set(NftSet::LateFragments)) } },
        { "return": null },
    ]);
    assert_eq!(rules(&apart, NftChain::LateFragments), [counted.to_string()]);
    assert!(apart.sets().contains(&NftSet::LateFragments) && !layout().sets().contains(&NftSet::LateFragments));
}

/// The commands that `write` adds, such as `add chain flow-…-ip-in`.
fn commands(write: impl Fn(&NftLayout, &mut NftTransaction)) -> Vec<String> {
    let mut transaction = NftTransaction::on(&layout().table());
    write(&layout(), &mut transaction);
    let all: Value = serde_json::from_str(&transaction.render()).unwrap();
    let only = |value: &Value| value.as_object().unwrap().clone().into_iter().next().unwrap();
    let shown = |command: &Value| {
        let (verb, object) = only(command);
        let (kind, object) = only(&object);
        let name = object.get("chain").or(object.get("name")).unwrap();
        format!("{verb} {kind} {}", name.as_str().unwrap())
    };
    all["nftables"].as_array().unwrap().iter().map(shown).collect()
}

#[test]
fn everything_is_made_before_a_packet_enters() {
    let made = commands(|layout, transaction| layout.make(transaction));
    let layout = layout();
    assert_eq!(layout.capacity(), 63);
    for set in layout.sets() {
        assert!(made.contains(&format!("add set {}", layout.set(set))), "{set}");
        let is_filled = made.contains(&format!("add element {}", layout.set(set)));
        assert_eq!(is_filled, set != NftSet::Still, "families, or the ports that are counted: {set}");
    }
    let rules: usize = layout.chains().iter().map(|(_, rules)| rules.len()).sum();
    assert_eq!(made.iter().filter(|command| command.starts_with("add rule ")).count(), rules);
    assert!(!made.iter().any(|command| command == "add rule input" || command == "add rule output"));
    let entered = commands(|layout, transaction| layout.enter(transaction));
    let of_hook = |hook: &str| [format!("flush chain {hook}"), format!("add rule {hook}"), format!("add rule {hook}")];
    let (made, rules) = entered.split_at(3);
    assert_eq!(made, ["add table flow-k3v7qa", "add chain input", "add chain output"]);
    assert_eq!(rules, [of_hook("input"), of_hook("output")].concat());
}

#[test]
fn a_port_goes_from_every_set_that_has_it() {
    let port = BTreeSet::from([443]);
    let removed = commands(|layout, transaction| layout.remove_ports(transaction, &port));
    let expected = FlowClass::ALL.map(|class| format!("delete element {}", layout().set(NftSet::Counters(class))));
    assert_eq!(removed, expected);
    let opened = commands(|layout, transaction| layout.delete_ports(transaction, NftSet::Cut, &port));
    assert_eq!(opened, [format!("delete element {}", layout().set(NftSet::Cut))]);
    let rewritten = commands(|layout, transaction| layout.rewrite_split(transaction));
    for direction in Direction::BOTH {
        let chain = layout().chain(NftChain::Split(direction));
        assert!(
            rewritten.contains(&format!("flush chain {chain}")) && rewritten.contains(&format!("add rule {chain}"))
        );
    }
}
