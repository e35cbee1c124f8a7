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
        ("the \u{202e}moon", "the moon", "the moon"),
    ] {
        assert_eq!(reason(recorded, templates.words(Language::English)), english);
        assert_eq!(reason(recorded, templates.words(Language::Chinese)), chinese);
    }
}
