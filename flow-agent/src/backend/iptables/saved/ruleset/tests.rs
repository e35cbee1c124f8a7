use proptest::prelude::*;

use super::*;

// Captured from iptables 1.8.9 in a separate namespace, with rules such as ufw and Docker make next to ours. The
// counters were set with `iptables-restore -c`.
const V4_NFT: &str = include_str!("../../../../../../tests/fixtures/iptables/v4-nft.txt");
const V4_LEGACY: &str = include_str!("../../../../../../tests/fixtures/iptables/v4-legacy.txt");
const V6_NFT: &str = include_str!("../../../../../../tests/fixtures/iptables/v6-nft.txt");
const V6_LEGACY: &str = include_str!("../../../../../../tests/fixtures/iptables/v6-legacy.txt");

#[test]
fn both_variants_say_the_same() {
    let (nft, legacy) = (parse(V4_NFT).unwrap(), parse(V4_LEGACY).unwrap());
    assert_eq!(nft.keys().collect::<Vec<_>>(), [&"filter", &"mangle", &"nat"]);
    assert_eq!(nft, legacy);
}

#[test]
fn every_line_of_a_capture_is_found_again() {
    for text in [V4_NFT, V4_LEGACY, V6_NFT, V6_LEGACY] {
        let tables = parse(text).unwrap();
        let chains = tables.values().map(|table| table.chains.len()).sum::<usize>();
        let rules = tables.values().flat_map(|table| table.chains.values()).map(Vec::len).sum::<usize>();
        assert_eq!(chains, text.lines().filter(|line| line.starts_with(':')).count());
        assert_eq!(rules, text.lines().filter(|line| line.starts_with('[')).count());
    }
}

#[test]
fn counters_beyond_four_gibibytes_are_whole() {
    let tables = parse(V4_LEGACY).unwrap();
    let rules = &tables["mangle"].chains["flow-6fwql3-1ci2fm-to-0000"];
    let rule =
        |port: &str| rules.iter().find(|rule| rule.text.ends_with(&format!("--sport {port} -j RETURN"))).unwrap();
    assert_eq!((rule("443").packets, rule("443").bytes), (2, 10_000_000_000));
    assert_eq!((rule("4433").packets, rule("4433").bytes), (12, 18_446_744_073_709_551_000));
}

#[test]
fn a_comment_cannot_pass_for_a_rule() {
    let tables = parse(V4_NFT).unwrap();
    let rules = &tables["filter"].chains["ufw-user-input"];
    let words = rules[0].words().unwrap();
    assert_eq!(words[9], "'dapp_OpenSSH' says \"hi\" -j DROP");
    assert_eq!(&words[10..], ["-j", "ACCEPT"]);
    let rules = &tables["mangle"].chains["INPUT"];
    assert_eq!(rules[1].words().unwrap()[9], "a b");
}

#[test]
fn a_dump_that_was_cut_short_is_an_error() {
    let text = &V4_NFT[..V4_NFT.find("COMMIT").unwrap()];
    assert_eq!(parse(text).unwrap_err().why, "truncated: the table has no COMMIT");
    assert_eq!(parse("").unwrap(), BTreeMap::new());
}

#[test]
fn what_no_dump_has_is_named_with_its_line() {
    let table = |line: &str| format!("# head\n*mangle\n:INPUT ACCEPT [0:0]\n{line}\nCOMMIT\n");
    for (line, why) in [
        ("-A INPUT -j x", "neither a chain nor a counted rule"),
        ("[0:0] -I INPUT", "neither a chain nor a counted rule"),
        ("[1] -A INPUT", "a rule without counters"),
        ("[1:-1] -A INPUT", "a counter is not a number"),
        ("[+1:1] -A INPUT", "a counter is not a number"),
        ("[1:18446744073709551616] -A INPUT", "a counter is not a number below 2^64"),
        ("[1:1] -A OUTPUT", "a rule of a chain that does not exist"),
        (":INPUT - [0:0]", "a chain appears twice"),
        (":", "a chain without a name"),
        ("*nat", "a table begins inside a table"),
    ] {
        assert_eq!(parse(&table(line)), Err(ParseError { line: 4, why }), "{line}");
    }
    assert_eq!(parse("COMMIT"), Err(ParseError { line: 1, why: "outside a table" }));
    let largest = table("[0:18446744073709551615] -A INPUT");
    assert_eq!(parse(&largest).unwrap()["mangle"].chains["INPUT"][0].bytes, u64::MAX);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\*|:|\\[|COMMIT|mangle|INPUT| -A |[0-9]{1,21}|:|\\]|\"|\\\\| |\n|\\PC){0,60}") {
        if let Ok(tables) = parse(&text) {
            for rule in tables.values().flat_map(|table| table.chains.values()).flatten() {
                rule.words();
            }
        }
    }

    #[test]
    fn a_cut_anywhere_is_an_error_or_leaves_whole_tables(cut in 0..V4_LEGACY.len()) {
        prop_assume!(V4_LEGACY.is_char_boundary(cut));
        let whole = parse(V4_LEGACY).unwrap();
        if let Ok(tables) = parse(&V4_LEGACY[..cut]) {
            for (name, table) in tables {
                prop_assert_eq!(&table, &whole[name]);
            }
        }
    }
}
