use super::super::family::Family;
use super::super::layout::Fragments;
use super::super::set_name::{RuleSetName, instance_tag};
use super::super::shape::Shape;
use super::*;

fn layout(dispatch: Dispatch) -> Layout {
    Layout {
        name: RuleSetName::new(instance_tag("an-instance"), 0),
        family: Family::V4,
        interfaces: vec!["eth0".into()],
        dispatch,
        ports: [443, 8388].into(),
        fragments: Fragments::Delivered,
        can_cut: true,
    }
}

/// Drops the prefix that all names share.
fn short(layout: &Layout, text: &str) -> String {
    text.replace(&layout.name.to_string(), "")
}

#[test]
fn with_ipsets_a_cut_is_one_member_and_no_rule() {
    let layout = layout(Dispatch::Ipsets { shielded: false });
    let mut script = Script::default();
    script.cut(&layout, &[443, 8388].into(), &[8388].into());
    assert!(script.leaves_rules());
    let zero = "8388 packets 0 bytes 0 -exist";
    assert_eq!(
        short(&layout, &script.before),
        format!("add bi4 {zero}\nadd bo4 {zero}\nadd cut4 443 -exist\nadd cut4 8388 -exist\n")
    );
    let mut script = Script::default();
    script.reopen(&layout, &[443].into()).forget_blocked(&layout, &[443].into());
    assert!(script.leaves_rules());
    assert_eq!(short(&layout, &script.before), "del cut4 443 -exist\ndel bi4 443 -exist\ndel bo4 443 -exist\n");
}

#[test]
fn there_is_one_rule_that_drops() {
    for dispatch in [Dispatch::Ipsets { shielded: false }, Dispatch::FlowClass(Shape::balanced(&[443].into()))] {
        let layout = layout(dispatch);
        let mut script = Script::default();
        script.make(&layout, &[]).cut(&layout, &[443].into(), &[443].into());
        let drops: Vec<String> =
            script.render("mangle").lines().filter(|line| line.contains("DROP")).map(str::to_owned).collect();
        assert_eq!(drops, [format!("-A {} -j DROP", layout.name.chain(&ChainPlace::Drop))]);
        let without = Layout { can_cut: false, ..layout };
        let mut script = Script::default();
        assert!(!script.make(&without, &[]).render("mangle").contains("DROP"));
    }
}

#[test]
fn in_a_tree_a_port_is_refused_before_it_is_counted() {
    let layout = layout(Dispatch::FlowClass(Shape::balanced(&[443].into())));
    let mut script = Script::default();
    script.cut(&layout, &[443].into(), &[443].into());
    let text = short(&layout, &script.render("mangle"));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2 + 4 + 4, "{text}");
    assert!(lines.contains(&"-I cut-out 1 -p udp -m udp --sport 443"));
    let goto = format!(
        "-I ti-0000 1 -p tcp -m tcp --dport 443 -g {}",
        layout.name.chain(&ChainPlace::Cut(Direction::Ingress))
    );
    assert!(lines.contains(&short(&layout, &goto).as_str()), "{text}");
}
