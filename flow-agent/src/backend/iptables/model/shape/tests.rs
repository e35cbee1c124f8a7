use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Chains = BTreeMap<Node, Inner>;

fn chains(shape: &Shape) -> Chains {
    shape.inner().into_iter().map(|inner| (inner.node, inner)).collect()
}

/// Follows the path of a packet from the root. Returns the leaf and the number of rules that were evaluated.
fn walk(shape: &Shape, chains: &Chains, port: u16) -> (Node, usize) {
    let (mut node, mut rules) = (shape.root(), 0);
    while let Some(inner) = chains.get(&node) {
        match inner.branches.iter().position(|(last, _)| port <= *last) {
            Some(branch) => (node, rules) = (inner.branches[branch].1, rules + branch + 1),
            None => (node, rules) = (inner.last, rules + inner.branches.len() + 1),
        }
    }
    (node, rules)
}

#[test]
fn few_ports_are_one_leaf() {
    let shape = Shape::balanced(&[443, 4433].into());
    assert_eq!(shape.leaves().collect::<Vec<_>>(), [Node { bound: 0, level: 0 }]);
    assert_eq!((shape.root(), shape.inner()), (Node { bound: 0, level: 0 }, vec![]));
    assert_eq!(Shape::balanced(&BTreeSet::new()), shape);
}

#[test]
fn twenty_ports_are_three_leaves_under_one_root() {
    // 20 / 8 rounded up is 3 leaves, which begin with the ports at 0, 6 and 13.
    let shape = Shape::balanced(&(8000..8020).collect());
    let node = |bound, level| Node { bound, level };
    let root =
        Inner { node: node(0, 1), branches: vec![(8005, node(0, 0)), (8012, node(8006, 0))], last: node(8013, 0) };
    assert_eq!(shape.inner(), [root]);
    assert_eq!([7, 8005, 8006, 8019, 65535].map(|port| shape.leaf_of(port).bound), [0, 0, 8006, 8013, 8013]);
}

#[test]
fn the_way_of_a_packet_hardly_grows_with_the_ports() {
    let worst = |ports: u16| {
        let shape = Shape::balanced(&(1..=ports).collect());
        let chains = chains(&shape);
        (1..=ports).map(|port| walk(&shape, &chains, port).1).max().unwrap()
    };
    // The numbers of leaves are 13 < 4²; 125 = 5³; 512 < 5⁴; 625 = 5⁴; 4,096 = 4⁶.
    assert_eq!([100, 1_000, 4_096, 10_000, 65_530].map(worst), [8, 15, 20, 20, 24]);
    // nf_tables allows 16 nested chains. There are three above the root and one below a leaf.
    assert_eq!(Shape::balanced(&(1..=65_530).collect()).root().level, 6);
}

#[test]
fn a_leaf_is_full_at_thirty_two() {
    let shape = Shape::balanced(&(100..108).collect());
    assert!(shape.has_room_for(&(100..132).collect()));
    assert!(!shape.has_room_for(&(100..133).collect()));
}

proptest! {
    #[test]
    fn every_port_reaches_the_leaf_whose_range_it_lies_in(
        ports in prop::collection::btree_set(1_u16.., 0..3000),
        any in prop::collection::vec(any::<u16>(), 50),
    ) {
        let shape = Shape::balanced(&ports);
        let chains = chains(&shape);
        for port in ports.iter().chain(&any) {
            let (leaf, _) = walk(&shape, &chains, *port);
            prop_assert_eq!(leaf, shape.leaf_of(*port));
            prop_assert!(shape.range(leaf).contains(port));
        }
        prop_assert!(shape.has_room_for(&ports));
        let bounds = shape.leaves().map(|leaf| leaf.bound).collect();
        prop_assert_eq!(Shape::from_bounds(&bounds), Some(shape));
    }

    #[test]
    fn no_two_nodes_share_a_name(ports in prop::collection::btree_set(1_u16.., 0..3000)) {
        let shape = Shape::balanced(&ports);
        let nodes: Vec<Node> = shape.inner().iter().map(|inner| inner.node).chain(shape.leaves()).collect();
        prop_assert_eq!(nodes.iter().collect::<BTreeSet<_>>().len(), nodes.len());
    }
}

#[test]
fn a_leaf_ends_right_before_the_next() {
    let shape = Shape::from_bounds(&[0, 100, 300].into()).unwrap();
    let ranges: Vec<_> = shape.leaves().map(|leaf| shape.range(leaf)).collect();
    assert_eq!(ranges, [0..=99, 100..=299, 300..=65_535]);
    assert_eq!(shape.capacity(), 3 * 32);
}
