use super::*;
use crate::backend::ebpf::SurveyedAttachment;
use crate::commands::instances::InstanceKey;

fn interface(name: &str, device_type: u16) -> Interface {
    Interface { index: device_type.into(), name: name.to_owned(), device_type, ..Interface::default() }
}

fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{:?}: {}", finding.status, finding.what)).collect()
}

#[test]
fn what_cannot_be_counted_is_named_before_what_is() {
    let present = [interface("eth0", 1), interface("ib0", 32)];
    let patterns = ["eth9", "eth0", "ib0"].map(str::to_owned);
    let selection = Patterns::parse(&patterns).unwrap().select(&present, &BTreeSet::new());
    let findings = of(&present, &selection);
    let expected = [
        "Fail: interface `eth9` does not exist",
        "Fail: interface `ib0` has device type 32, whose frames cannot be read",
        "Ok: counted: eth0",
    ];
    assert_eq!(lines(&findings), expected);
    assert_eq!(findings[0].help.as_deref(), Some("existing interfaces: eth0, ib0"));
}

#[test]
fn nothing_to_count_is_a_failure() {
    let patterns = Patterns::parse(&["auto".to_owned()]).unwrap();
    let findings = of(&[interface("eth0", 1)], &patterns.select(&[interface("eth0", 1)], &BTreeSet::new()));
    assert_eq!(
        lines(&findings),
        ["Fail: no interface is counted: no default route in any table, or no match for a glob"]
    );
}

#[test]
fn a_program_that_is_gone_is_a_failure_where_it_is_to_count() {
    let attachment =
        |interface: &str, direction, live| SurveyedAttachment { interface: interface.to_owned(), direction, live };
    let attachments = vec![
        attachment("eth0", "ingress", true),
        attachment("eth0", "egress", true),
        attachment("eth1", "ingress", false),
    ];
    let survey = Survey { sets: Vec::new(), attachments };
    let of = |chosen: &str| lines(&of_survey(&survey, &[chosen.to_owned()].into()));
    let attached = "Ok: attached to `eth0`: ingress and egress";
    assert_eq!(of("eth0"), [attached, "Warn: no longer attached to `eth1`: ingress"]);
    assert_eq!(of("eth1"), [attached, "Fail: no longer attached to `eth1`: ingress"]);
    let (rules, tables) = (Vec::new(), Vec::new());
    let instance = Instance { is_ours: true, key: InstanceKey::Id("1".to_owned()), survey, rules, tables };
    let chosen = ["eth0", "eth1", "eth2"].map(str::to_owned).into();
    let expected = ["Fail: `eth2` should be counted, but nothing of this agent is attached to it"];
    assert_eq!(lines(&uncounted(&InstancePart::Instance(instance), &chosen)), expected);
}
