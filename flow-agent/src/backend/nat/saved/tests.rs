use super::*;

const V4_LEGACY: &str = include_str!("../../../../../tests/fixtures/nat/v4-legacy.txt");
const V4_NFT: &str = include_str!("../../../../../tests/fixtures/nat/v4-nft.txt");
const V6_NFT: &str = include_str!("../../../../../tests/fixtures/nat/v6-nft.txt");

fn shown(text: &str) -> Vec<String> {
    let show = |rule: &NatRule| {
        let after = rule.after.as_ref().map_or("the same".to_owned(), ToString::to_string);
        format!("{:?} {} -> {after}", rule.way, rule.before)
    };
    let mut shown: Vec<_> = rules(text, "rule").unwrap().iter().map(show).collect();
    shown.sort();
    shown
}

#[test]
fn both_variants_are_read_alike() {
    let expected = [
        "Out every port -> ports 8000-8010",
        "Out every port -> the same",
        "Out port 500 -> ports 4500-4510",
        "ToAnyHost port 8443 -> port 443",
        "ToAnyHost ports 0-21,23-65535 -> the same",
        "ToAnyHost ports 8080,9000-9005 -> ports 80-90",
        "ToThisHost ports 20000-20010 -> port 443",
    ];
    assert_eq!(shown(V4_LEGACY), expected);
    assert_eq!(shown(V4_NFT), expected);
    assert_eq!(shown(V6_NFT), ["ToAnyHost port 8443 -> port 443", "ToThisHost ports 20000-20010 -> port 443"]);
}

#[test]
fn a_rule_is_named_as_iptables_shows_it() {
    let all = rules(V4_NFT, "iptables rule").unwrap();
    assert!(all.iter().any(|rule| rule.name
        == "iptables rule `-t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8443 -j DNAT --to-destination \
                172.17.0.2:443`"));
}

#[test]
fn an_address_is_told_from_its_port() {
    assert_eq!(behind_address("10.0.0.5"), None);
    assert_eq!(behind_address("fd00::5"), None);
    assert_eq!(behind_address("[fd00::5]"), None);
    let web = Some(PortSet::of([(443, 443)]));
    for text in ["10.0.0.5:443", ":443", "[fd00::5]:443", "10.0.0.1-10.0.0.9:443/7"] {
        assert_eq!(behind_address(text), web, "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_an_error_and_never_no_rules() {
    assert!(rules(&V4_NFT[..V4_NFT.len() / 2], "rule").is_err());
    assert_eq!(rules("", "rule").unwrap(), []);
}
