use super::super::family::Family;
use super::super::layout::Fragments;
use super::super::set_name::{RuleSetName, instance_tag};
use super::*;

fn layout() -> Layout {
    Layout {
        name: RuleSetName::new(instance_tag("an-instance"), 0),
        family: Family::V4,
        interfaces: vec!["eth0".into()],
        dispatch: Dispatch::Ipsets { shielded: false },
        ports: [443, 8388].into(),
        fragments: Fragments::Delivered,
        can_cut: false,
    }
}

/// Drops the prefix that all names share.
fn short(text: &str) -> String {
    text.replace(&layout().name.to_string(), "")
}

fn rules_of(script: &Script, begin: &str) -> usize {
    script.render("mangle").lines().filter(|line| line.starts_with(begin)).count()
}

#[test]
fn the_first_port_that_is_frozen_needs_rules_and_the_others_are_members() {
    let shield = |ports: &[u16], still: &[u16]| {
        let mut script = Script::default();
        script.shield(&layout(), &ports.iter().copied().collect(), &still.iter().copied().collect());
        script
    };
    let first = shield(&[443], &[]);
    assert_eq!((short(&first.after).as_str(), first.leaves_rules()), ("add still4 443 -exist\n", false));
    // One for each protocol and direction.
    assert_eq!(rules_of(&first, "-I "), 4);
    let second = shield(&[8388], &[443]);
    assert_eq!((short(&second.after).as_str(), second.leaves_rules()), ("add still4 8388 -exist\n", true));
    assert!(shield(&[], &[]).leaves_rules());
}

#[test]
fn the_rules_go_with_the_last_port_that_was_frozen() {
    let unshield = |ports: &[u16], still: &[u16]| {
        let mut script = Script::default();
        script.unshield(&layout(), &ports.iter().copied().collect(), &still.iter().copied().collect());
        script
    };
    let last = unshield(&[443], &[]);
    assert_eq!((short(&last.before).as_str(), last.leaves_rules()), ("del still4 443 -exist\n", false));
    assert_eq!(rules_of(&last, "-D "), 4);
    assert!(unshield(&[443], &[8388]).leaves_rules() && unshield(&[], &[]).leaves_rules());
}

#[test]
fn ipsets_are_made_before_the_rules_that_use_them() {
    let mut script = Script::default();
    script.make(&layout(), &[]);
    let before = short(&script.before);
    for created in
        ["create ti4 bitmap:port range 0-65535 counters -exist\n", "create still4 bitmap:port range 0-65535 -exist\n"]
    {
        assert!(before.contains(created), "{before}");
    }
    assert!(before.contains("add ti4 8388 packets 0 bytes 0 -exist\n"), "{before}");
    assert!(!script.leaves_rules());
}
