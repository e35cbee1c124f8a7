use super::*;
use crate::ledger::language::Language;
use crate::render::Templates;

#[test]
fn a_reason_is_given_in_the_language_of_the_letter() {
    let templates = Templates::new(&std::collections::BTreeMap::new()).unwrap();
    for (recorded, english, chinese) in [
        ("no bucket", "no record", "无记录"),
        ("the counter was detached (ingress)", "the counter was detached", "计数程序被卸载"),
        (
            "program 7 came before the counter (egress); the counter was detached (ingress)",
            "another program or rule came before the counter, the counter was detached",
            "有其他程序或规则排在计数器之前，计数程序被卸载",
        ),
        (
            "the counter was detached (ingress); the counter was detached (egress)",
            "the counter was detached",
            "计数程序被卸载",
        ),
        (
            "switched from eBPF to iptables (and 12 more gaps on this day)",
            "the counting method was switched, and 12 more gaps that day",
            "切换了计数方式，当日另有 12 处缺口",
        ),
        ("the \u{202e}moon", "another reason", "其他原因"),
    ] {
        assert_eq!(reason(recorded, templates.words(Language::English), Reader::Customer), english);
        assert_eq!(reason(recorded, templates.words(Language::Chinese), Reader::Customer), chinese);
    }
    assert_eq!(reason("the \u{202e}moon", templates.words(Language::Chinese), Reader::Operator), "the moon");
}

/// Every reason that a backend or the ledger records, and the category that a customer reads.
const RECORDED: [(&str, &str); 44] = [
    // backend/nftables
    (
        "somebody changed the counters: table flow-h446uh was deleted; the interfaces moved 0 bytes in that time",
        "removed",
    ),
    ("somebody changed the counters: table flow-h446uh was deleted and restored", "changed"),
    ("somebody changed the counters: table flow-h446uh was switched off", "changed"),
    ("somebody changed the counters: set flow-h446uh-tcp-in is gone", "removed"),
    ("somebody changed the counters: set flow-h446uh-tcp-in has lost or gained elements or counters", "changed"),
    ("somebody changed the counters: set flow-h446uh-tcp-in was made anew by somebody else", "changed"),
    ("somebody changed the counters: the counter of port 443 was made anew by somebody else", "changed"),
    ("somebody changed the counters: chain flow-h446uh-in has lost or gained rules", "changed"),
    ("somebody changed the counters: chain flow-h446uh-in has a rule that is not ours", "changed"),
    (
        "somebody changed the counters: port 443 has less than at the last reading: somebody zeroed or restored it",
        "changed",
    ),
    ("somebody removed the chain that leads to the counters", "removed"),
    ("somebody removed the rule that leads to the counters", "removed"),
    ("somebody removed the table of the counters", "removed"),
    ("another rule came before the counters", "overtaken"),
    ("another rule came before the counters; `/usr/sbin/nft` failed (exit status: 1): Error: busy", "overtaken,other"),
    ("the counters were removed while no agent ran", "removed"),
    ("no packet reached the counters", "removed"),
    ("somebody changed the counters: chain flow-h446uh-in has a rule that counts packets twice", "changed"),
    ("somebody removed the rules that lead to the counters and made them again", "removed"),
    // backend/iptables
    (
        "somebody changed the IPv4 counters: chain flow-4pujjs is gone; the interfaces moved 812 bytes in that time",
        "removed",
    ),
    (
        "somebody changed the IPv6 counters: chain flow-4pujjs is empty; an interface was re-created in that time",
        "changed",
    ),
    ("somebody changed the IPv4 counters: ipset flow-4pujjs-ti4 was emptied", "changed"),
    ("somebody changed the IPv4 counters: ipset flow-4pujjs-ti4 has ports, but no rule uses it", "changed"),
    ("somebody changed the IPv4 counters: table mangle was restored into a new table", "changed"),
    ("somebody changed the IPv4 counters: chain flow-4pujjs was zeroed or emptied", "changed"),
    ("somebody changed the IPv4 counters: chain INPUT leads every packet to the counters more than once", "changed"),
    ("somebody changed the IPv4 counters: chain flow-4pujjs matches other ports or interfaces", "changed"),
    ("somebody removed the IPv4 rule that leads to the counters", "removed"),
    ("another IPv4 rule came before the counters: -A PREROUTING -i eth0 -j ACCEPT", "overtaken"),
    ("the IPv4 counters were removed while no agent ran", "removed"),
    ("the counters moved to another kind of table", "switched"),
    // backend/ebpf, and what all have in common
    ("the counter was detached (ingress)", "detached"),
    ("the counter was detached while no agent ran", "detached"),
    ("the counter could not be attached (egress); failed to attach to `eth0` (egress)", "detached,other"),
    ("nothing was attached any more", "detached"),
    ("clsact filter bpf came before the counter (ingress)", "overtaken"),
    ("program 7 came before the counter (egress) while no agent ran", "overtaken"),
    ("the counters were gone when the agent started", "removed"),
    ("the interface was made again while no agent ran", "recreated"),
    ("the interface appeared while no agent ran", "appeared"),
    ("no interface", "no_interface"),
    ("another agent counts on `eth0`: pid 812", "other"),
    ("switched from eBPF to nftables", "switched"),
    // ledger
    ("the hourly log was cut, and counters of that time are gone", "damaged"),
];

#[test]
fn no_reason_tells_a_customer_of_internals_or_of_the_traffic_of_others() {
    let templates = Templates::new(&std::collections::BTreeMap::new()).unwrap();
    for language in [Language::English, Language::Chinese] {
        let words = templates.words(language);
        for (recorded, categories) in RECORDED {
            let expected: Vec<String> =
                categories.split(',').map(|key| words.say(&format!("why_{key}"), &[])).collect();
            assert_eq!(
                reason(recorded, words, Reader::Customer),
                expected.join(&words.say("comma", &[])),
                "{recorded}"
            );
        }
    }
}
