use super::*;

#[test]
fn our_filter_is_found_and_others_are_told_apart() {
    let mut body = our_header(4, Direction::Egress).to_vec();
    push_attribute(&mut body, TCA_KIND, b"bpf\0");
    let mut options = Vec::new();
    push_attribute(&mut options, TCA_BPF_NAME, b"ours\0");
    push_attribute(&mut options, TCA_BPF_ID, &77_u32.to_ne_bytes());
    push_attribute(&mut body, TCA_OPTIONS, &options);
    let ours = filter(&body).unwrap();
    assert_eq!((ours.name.as_str(), ours.program), ("ours", 77));
    assert!(ours.is_at_our_place() && !ours.blocks_our_place());
    let flower = Filter { kind: "flower".into(), ..ours };
    assert!(!flower.is_at_our_place() && flower.blocks_our_place());
}

#[test]
fn the_protocol_is_in_network_order() {
    assert_eq!(our_header(4, Direction::Ingress)[16..], [0, 3, 1, 0]);
}

#[test]
fn each_direction_has_a_parent_of_its_own() {
    assert_eq!([Direction::Ingress, Direction::Egress].map(parent), [0xffff_fff2, 0xffff_fff3]);
}
