use super::*;

fn owned(owner: &str) -> Claim {
    Claim { owner: Some(owner.to_owned()), ..Claim::default() }
}

#[test]
fn a_port_with_different_owners_has_none_whoever_is_listed_last() {
    let mut listed = Listed::default();
    for owner in ["ada", "ada", "bob", "ada"] {
        listed.add(443, owned(owner));
    }
    assert_eq!(listed.owners, PortOwners::from([(443, None)]));
    let text: Vec<_> = listed.complaints.iter().map(ToString::to_string).collect();
    assert_eq!(text, ["port 443 is counted without an owner: it is listed for \"ada\" and for \"bob\""]);
}

#[test]
fn complaints_beyond_the_first_are_counted() {
    let mut listed = Listed::default();
    for index in 0..30 {
        listed.complain(Complaint::NoPort { row: ListPosition::Entry(index), key: "port" });
    }
    assert_eq!((listed.complaints.len(), listed.more_complaints, listed.complaint_count()), (20, 10, 30));
}

#[test]
fn a_file_that_lists_all_ports_again_and_again_is_read_up_to_a_limit() {
    let mut listed = Listed::default();
    // 16 times 65,535 ports are less than 2^20 = 1,048,576, and a single port still fits after them.
    for (index, range) in std::iter::repeat_n(1..=u16::MAX, 20_000).chain([443..=443]).enumerate() {
        listed.add_ranges(&ListPosition::Line(index + 1), Ok(vec![range]), &owned("ada"));
    }
    assert_eq!(listed.owners.len(), 65_535);
    assert_eq!(listed.complaint_count(), 20_000 - 16);
    let first = "line 17 is not counted: the file lists more than 1048576 ports, most of them repeatedly";
    assert_eq!(listed.complaints[0].to_string(), first);
}

#[test]
fn only_a_single_user_owns_a_port() {
    assert_eq!(only_user([Some("ada")]), Some("ada".to_owned()));
    assert_eq!(only_user([Some("ada"), None]), None);
    assert_eq!(only_user([None::<&str>]), None);
    assert_eq!(only_user([None::<&str>; 0]), None);
}
