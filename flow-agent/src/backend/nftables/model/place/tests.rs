use super::*;

#[test]
fn names_of_chains_are_parsed_into_the_roles_that_they_were_made_of() {
    let directed = |role: fn(Direction) -> NftChain| Direction::BOTH.map(role);
    let chains = [directed(NftChain::Split), directed(NftChain::Rest), directed(NftChain::Cut)].concat();
    let others = [NftChain::Fragments, NftChain::LateFragments, NftChain::Reassembly, NftChain::Sealed];
    for chain in chains.into_iter().chain(others).chain([NftChain::Table(42)]) {
        assert_eq!(NftChain::parse(&chain.to_string()), Some(chain));
    }
    assert_eq!(NftChain::Table(42).to_string(), "table-42");
    for other in ["", "table-", "table-x", "forward"] {
        assert_eq!(NftChain::parse(other), None, "{other}");
    }
}

#[test]
fn sets_have_different_names() {
    let names: std::collections::BTreeSet<String> = NftSet::all().map(|set| set.to_string()).collect();
    assert_eq!(names.len(), NftSet::all().count());
}

#[test]
fn only_tables_that_agents_made_belong_to_an_instance() {
    assert_eq!(tag_of(&table("k3v7qa")), Some("k3v7qa"));
    for other in ["flow-", "flow-x", "flow-K3V7QA", "flow-k3v7qa-2", "filter"] {
        assert_eq!(tag_of(other), None, "{other}");
    }
}

#[test]
fn sets_hold_ports_or_families_with_counters_or_without() {
    for set in NftSet::all() {
        let is_of_ports = !matches!(set, NftSet::OtherPorts(_) | NftSet::OtherIp(_) | NftSet::LateFragments);
        assert_eq!((set.is_of_ports(), set.key_bytes()), (is_of_ports, if is_of_ports { 2 } else { 1 }), "{set}");
        assert_eq!(set.has_counters(), !matches!(set, NftSet::Still | NftSet::Cut), "{set}");
    }
}
