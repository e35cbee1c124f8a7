use super::*;

#[test]
fn only_rules_of_ours_that_ask_ipsets_are_meant() {
    let ours = include_str!("../../../../../../tests/fixtures/iptables/v4-nft-ipset.txt");
    assert!(asks_ipsets(ours));
    assert!(!asks_ipsets(include_str!("../../../../../../tests/fixtures/iptables/v4-nft.txt")));
    assert!(!asks_ipsets("-A INPUT -p tcp -m set --match-set f2b-sshd src -j REJECT"));
}
