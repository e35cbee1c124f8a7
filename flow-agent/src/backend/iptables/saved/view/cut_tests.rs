//! Applies the input for iptables and ipset to a simulated table, whose dump must then show what was intended.

use proptest::prelude::*;

use super::*;
use crate::backend::iptables::model::script::Script;
use crate::backend::iptables::model::set_name::instance_tag;
use crate::backend::iptables::saved::ruleset::parse;

const PORTS: [u16; 4] = [443, 4433, 8388, 9000];

/// A table and its ipsets, as the programs would leave them.
#[derive(Default)]
struct Host {
    chains: BTreeMap<String, Vec<String>>,
    ipsets: BTreeMap<String, Members>,
}

impl Host {
    fn run(&mut self, script: &Script) {
        self.run_ipsets(&script.before);
        for line in script.render("mangle").lines() {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            match words.as_slice() {
                [chain, ..] if chain.starts_with(':') => drop(self.chains.insert(chain[1..].to_owned(), Vec::new())),
                // A rule that counts everything.
                ["-A", chain] => self.chains.get_mut(*chain).unwrap().push(String::new()),
                ["-A", chain, rule] => self.chains.get_mut(*chain).unwrap().push((*rule).to_owned()),
                ["-I", chain, rest] => {
                    let (number, rule) = rest.split_once(' ').unwrap();
                    let at: usize = number.parse().unwrap();
                    self.chains.get_mut(*chain).unwrap().insert(at - 1, rule.to_owned());
                }
                ["-D", chain, rule] => {
                    let rules = self.chains.get_mut(*chain).unwrap();
                    let at = rules.iter().position(|other| other == rule).unwrap_or_else(|| panic!("{line}"));
                    rules.remove(at);
                }
                ["-X", chain] => {
                    let targets = self.chains.values().flatten();
                    assert!(targets.into_iter().all(|rule| !rule.ends_with(chain)), "{chain} is in use");
                    self.chains.remove(*chain).unwrap();
                }
                _ => assert!(line.starts_with('*') || line == "COMMIT", "{line}"),
            }
        }
        self.run_ipsets(&script.after);
    }

    fn run_ipsets(&mut self, commands: &str) {
        for line in commands.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["create", name, ..] => drop(self.ipsets.entry((*name).to_owned()).or_default()),
                ["flush", name] => self.ipsets.get_mut(*name).unwrap().clear(),
                ["add", name, port, ..] => {
                    let members = self.ipsets.get_mut(*name).unwrap();
                    members.insert(port.parse().unwrap(), (0, 0));
                }
                ["del", name, port, ..] => drop(self.ipsets.get_mut(*name).unwrap().remove(&port.parse().unwrap())),
                ["destroy", name] => drop(self.ipsets.remove(*name).unwrap()),
                _ => panic!("{line}"),
            }
        }
    }

    fn view(&self, name: &RuleSetName) -> Result<VerifiedSet, SetDamage> {
        let declared: String = self.chains.keys().map(|chain| format!(":{chain} - [0:0]\n")).collect();
        let rule = |(chain, rule): (&String, &String)| format!("[0:0] -A {chain} {rule}\n");
        let rules = self.chains.iter().flat_map(|(chain, rules)| rules.iter().map(move |rule| (chain, rule)));
        let text = format!("*mangle\n{declared}{}COMMIT\n", rules.map(rule).collect::<String>());
        let mut table = parse(&text).unwrap().remove("mangle").unwrap();
        for (ipset, members) in &self.ipsets {
            table.ipsets.insert(RuleSetName::parse_ipset(ipset, Family::V4).unwrap(), members.clone());
        }
        VerifiedSet::read(&table, Family::V4, name)
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Cuts exactly these ports.
    Cut(BTreeSet<u16>),
    /// Removes everything that can refuse.
    Abolish,
    /// Freezes exactly these ports.
    Still(BTreeSet<u16>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some =
        || prop::sample::subsequence(PORTS.to_vec(), 0..=PORTS.len()).prop_map(|ports| ports.into_iter().collect());
    let step =
        prop_oneof![3 => some().prop_map(Step::Cut), 1 => Just(Step::Abolish), 2 => some().prop_map(Step::Still)];
    prop::collection::vec(step, 0..12)
}

proptest! {
    #[test]
    fn a_table_says_which_ports_are_cut_and_which_stand_still(steps in steps(), by_ipsets: bool) {
        let name = RuleSetName::new(instance_tag("an-instance"), 7);
        let ports: BTreeSet<u16> = PORTS.into();
        let tree = Dispatch::FlowClass(Shape::balanced(&ports));
        let dispatch = if by_ipsets { Dispatch::Ipsets { shielded: false } } else { tree };
        let interfaces = vec!["eth0".to_owned()];
        let fragments = Fragments::Delivered;
        let mut layout = Layout { name: name.clone(), family: Family::V4, interfaces, dispatch, ports, fragments, can_cut: false };
        let mut host = Host::default();
        let mut script = Script::default();
        script.make(&layout, &[]);
        host.run(&script);
        let (mut cut, mut ever, mut still) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for step in steps {
            let mut script = Script::default();
            match step {
                Step::Cut(wanted) => {
                    let was_there = std::mem::replace(&mut layout.can_cut, true);
                    if !was_there {
                        script.prepare_cut(&layout);
                    }
                    let closing: BTreeSet<u16> = wanted.difference(&cut).copied().collect();
                    let opening = cut.difference(&wanted).copied().collect();
                    let fresh = closing.difference(&ever).copied().collect();
                    script.reopen(&layout, &opening).cut(&layout, &closing, &fresh);
                    ever.extend(closing);
                    cut = wanted;
                }
                Step::Abolish if layout.can_cut => {
                    script.abolish_cut(&layout, &cut);
                    layout.can_cut = false;
                    (cut, ever) = (BTreeSet::new(), BTreeSet::new());
                }
                Step::Abolish => {}
                Step::Still(wanted) => {
                    let more: BTreeSet<u16> = wanted.difference(&still).copied().collect();
                    let less: BTreeSet<u16> = still.difference(&wanted).copied().collect();
                    // As the agent does it: one kind of change at a time.
                    script.shield(&layout, &more, &still);
                    host.run(&script);
                    let all: BTreeSet<u16> = still.union(&more).copied().collect();
                    if let Dispatch::Ipsets { shielded } = &mut layout.dispatch {
                        *shielded = !all.is_empty();
                    }
                    script = Script::default();
                    script.unshield(&layout, &less, &wanted);
                    if let Dispatch::Ipsets { shielded } = &mut layout.dispatch {
                        *shielded = !wanted.is_empty();
                    }
                    still = wanted;
                }
            }
            host.run(&script);
            let view = host.view(&name).unwrap();
            prop_assert_eq!(&view.layout, &layout);
            prop_assert_eq!((&view.cut, &view.draining), (&cut, &still));
            prop_assert_eq!(view.blocked.keys().copied().collect::<BTreeSet<_>>(), ever.clone());
            prop_assert!(view.is_settled);
            let names = host.chains.keys().chain(host.ipsets.keys());
            let for_cutting = names.filter(|name| ["cut", "drop", "bi4", "bo4"].iter().any(|part| name.contains(part)));
            prop_assert_eq!(for_cutting.count() > 0, layout.can_cut);
        }
    }
}

#[test]
fn a_rule_that_refuses_behind_the_counter_is_damage() {
    let name = RuleSetName::new(instance_tag("an-instance"), 7);
    let ports: BTreeSet<u16> = [443].into();
    let layout = Layout {
        name: name.clone(),
        family: Family::V4,
        interfaces: vec!["eth0".to_owned()],
        dispatch: Dispatch::FlowClass(Shape::balanced(&ports)),
        ports,
        fragments: Fragments::Delivered,
        can_cut: true,
    };
    let mut host = Host::default();
    let mut script = Script::default();
    script.make(&layout, &[]).cut(&layout, &[443].into(), &[443].into());
    host.run(&script);
    assert_eq!(host.view(&name).unwrap().cut, [443].into());
    let leaf = name.chain(&FIRST_LEAF);
    host.chains.get_mut(&leaf).unwrap().swap(0, 1);
    let damage = host.view(&name).unwrap_err();
    assert_eq!((damage.part, damage.why), (format!("chain {leaf}"), "refuses a port after its counter, or twice"));
}

#[test]
fn a_rule_that_is_not_ours_among_those_that_refuse_is_damage() {
    let name = RuleSetName::new(instance_tag("an-instance"), 7);
    let ports: BTreeSet<u16> = [443].into();
    let layout = Layout {
        name: name.clone(),
        family: Family::V4,
        interfaces: vec!["eth0".to_owned()],
        dispatch: Dispatch::FlowClass(Shape::balanced(&ports)),
        ports,
        fragments: Fragments::Delivered,
        can_cut: true,
    };
    let mut host = Host::default();
    let mut script = Script::default();
    script.make(&layout, &[]).cut(&layout, &[443].into(), &[443].into());
    host.run(&script);
    let chain = name.chain(&ChainPlace::Cut(Direction::Ingress));
    let rules = host.chains[&chain].clone();
    let mut damage = |rules: &[String]| {
        host.chains.insert(chain.clone(), rules.to_vec());
        host.view(&name).err().map(|damage| (damage.part, damage.why))
    };
    assert_eq!(damage(&rules), None);
    let expected = Some((format!("chain {chain}"), "has a rule that is not ours"));
    assert_eq!(damage(&[vec!["-s 10.0.0.1/32 -j ACCEPT".to_owned()], rules.clone()].concat()), expected);
    assert_eq!(damage(&rules[..rules.len() - 1]), expected, "it no longer ends by dropping");
}
