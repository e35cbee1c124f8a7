use super::*;

const UDP_OUT: FlowClass = FlowClass { protocol: Protocol::Udp, direction: Direction::Egress };
const TCP_IN: FlowClass = FlowClass { protocol: Protocol::Tcp, direction: Direction::Ingress };

fn read(text: &str) -> Option<IptablesRule> {
    IptablesRule::read(&text.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn every_rule_reads_back() {
    let targets = [
        RuleTarget::Next,
        RuleTarget::Jump("a".into()),
        RuleTarget::Goto("b".into()),
        RuleTarget::Return,
        RuleTarget::Drop,
    ];
    let matches = [
        Match::All,
        Match::Interface(Direction::Ingress, "eth0".into()),
        Match::Interface(Direction::Egress, "wg-1.5".into()),
        Match::Protocol(Protocol::Tcp),
        Match::Port(TCP_IN, 443),
        Match::Port(UDP_OUT, 65535),
        Match::UpTo(TCP_IN, 4433),
        Match::Member(TCP_IN, "flow-k3v9qa-1h2j4k-ti4".into()),
        Match::Member(UDP_OUT, "flow-k3v9qa-1h2j4k-uo6".into()),
        Match::Fragment,
        Match::FirstFragment,
        Match::Socket,
    ];
    for matching in matches {
        for target in targets.clone() {
            let rule = IptablesRule { matching: matching.clone(), target };
            assert_eq!(read(&rule.to_string()), Some(rule));
        }
    }
}

#[test]
fn a_rule_is_written_as_iptables_save_prints_it() {
    let rule = IptablesRule::goto(Match::UpTo(UDP_OUT, 8191), "x".into());
    assert_eq!(rule.to_string(), " -p udp -m udp --sport 0:8191 -g x");
    let rule = IptablesRule { matching: Match::Member(UDP_OUT, "x".into()), target: RuleTarget::Return };
    assert_eq!(rule.to_string(), " -p udp -m set --match-set x src -j RETURN");
    let rule = IptablesRule { matching: Match::Port(TCP_IN, 443), target: RuleTarget::Return };
    assert_eq!(rule.to_string(), " -p tcp -m tcp --dport 443 -j RETURN");
}

#[test]
fn what_is_nearly_ours_is_not_ours() {
    for text in [
        "-p tcp -m udp --dport 443",
        "-p tcp -m tcp --dport 443 -m comment --comment x -j RETURN",
        "-p tcp -m tcp ! --dport 443",
        "-p tcp -m tcp --dport 1:443",
        "-p tcp -m tcp --dport 70000",
        "-p tcp -m set --match-set x dst,dst",
        "-p tcp -m set ! --match-set x dst",
        "-m set --match-set x dst",
        "-p sctp",
        "-s 10.0.0.0/8",
        "! -i eth0",
        "-i eth0 -p tcp",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn names_with_a_meaning_to_iptables_are_refused() {
    assert!(["eth0", "wg-1.5", "ppp0@x", "a+b"].into_iter().all(can_name));
    assert!(["", "eth+", "!eth0", "-i", "e\"0", "e'0", "e\\0", "e 0", "é"].into_iter().all(|name| !can_name(name)));
}
