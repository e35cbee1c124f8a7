use super::*;

const TABLE: &str = include_str!("../../../../../tests/fixtures/nat/inet-fw.json");
const CHAINS: &str = include_str!("../../../../../tests/fixtures/nat/chains.json");

fn shown(rules: &[NatRule]) -> Vec<String> {
    let show = |rule: &NatRule| {
        let after = rule.after.as_ref().map_or("the same".to_owned(), ToString::to_string);
        format!("{:?} {} -> {after}", rule.way, rule.before)
    };
    rules.iter().map(show).collect()
}

#[test]
fn tables_with_a_chain_for_nat_are_found() {
    let expected = [("inet", "fw"), ("ip", "nat")].map(|(family, table)| (family.to_owned(), table.to_owned()));
    assert_eq!(tables(CHAINS).unwrap(), expected.into());
}

#[test]
fn what_nft_lists_is_read() {
    let rules = rules(TABLE).unwrap();
    let expected = [
        "ToThisHost ports 20000-20010 -> port 443",
        "ToAnyHost ports 8080,9000-9005 -> port 80",
        "ToThisHost ports 30000-30010,31000 -> port 8388",
        "ToAnyHost ports 0-21,23-65535 -> the same",
        "ToAnyHost ports 80-81 -> the same",
        "ToAnyHost every port -> port 443",
        "Out every port -> the same",
        "Out port 500 -> ports 4500-4510",
        "Out every port -> ports 8000-8010",
    ];
    assert_eq!(shown(&rules), expected);
    assert_eq!(rules[0].name, "nft rule with handle 6 in `inet fw pre`");
}

#[test]
fn a_map_of_ports_names_both_sides() {
    let rule = |statement: &str| {
        let head = r#"{"nftables":[{"rule":{"family":"ip","table":"t","chain":"c","handle":1,"expr":["#;
        shown(&rules(&format!("{head}{statement}]}}}}]}}")).unwrap()).join("; ")
    };
    let key = r#"{"payload":{"protocol":"tcp","field":"dport"}}"#;
    let map = format!(r#"{{"redirect":{{"port":{{"map":{{"key":{key},"data":{{"set":[[80,8080],[81,8081]]}}}}}}}}}}"#);
    assert_eq!(rule(&map), "ToThisHost ports 80-81 -> ports 8080-8081");
    let above = format!(r#"{{"match":{{"op":">","left":{key},"right":1023}}}},{{"redirect":{{"port":80}}}}"#);
    assert_eq!(rule(&above), "ToThisHost ports 1024-65535 -> port 80");
    let icmp = r#"{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":"icmp"}},{"dnat":{"addr":"10.0.0.1"}}"#;
    assert_eq!(rule(icmp), "");
    let unknown =
        format!(r#"{{"match":{{"op":"==","left":{key},"right":"@elsewhere"}}}},{{"redirect":{{"port":80}}}}"#);
    assert_eq!(rule(&unknown), "ToThisHost every port -> port 80");
}

#[test]
fn what_is_no_list_is_an_error() {
    for text in ["", "{", "[]", r#"{"nftables":{}}"#] {
        assert!(rules(text).is_err() && tables(text).is_err(), "{text}");
    }
}

#[test]
fn a_table_without_a_chain_for_nat_is_none_of_them() {
    let chain =
        |family, table, kind| format!(r#"{{"chain":{{"family":"{family}","table":"{table}","type":"{kind}"}}}}"#);
    let json = format!(r#"{{"nftables":[{},{}]}}"#, chain("ip", "a", "filter"), chain("ip6", "b", "nat"));
    assert_eq!(tables(&json).unwrap(), [("ip6".to_owned(), "b".to_owned())].into());
}

#[test]
fn a_rule_for_protocols_without_ports_concerns_no_port() {
    let count = |op: &str, left: &str| {
        let matching = format!(r#"{{"match":{{"op":"{op}","left":{left},"right":"icmp"}}}}"#);
        let head = r#"{"nftables":[{"rule":{"family":"ip","table":"t","chain":"c","handle":1,"expr":["#;
        rules(&format!(r#"{head}{matching},{{"dnat":{{"addr":"10.0.0.1"}}}}]}}}}]}}"#)).unwrap().len()
    };
    let by_header = r#"{"payload":{"protocol":"ip","field":"protocol"}}"#;
    let by_meta = r#"{"meta":{"key":"l4proto"}}"#;
    assert_eq!((count("==", by_header), count("==", by_meta)), (0, 0));
    assert_eq!((count("!=", by_header), count("!=", by_meta)), (1, 1));
}
