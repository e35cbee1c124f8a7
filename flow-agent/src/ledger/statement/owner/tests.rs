use super::*;

fn user(name: &str, ports: &[u16], nodes: &[&str]) -> User {
    User {
        name: name.to_owned(),
        ports: ports.iter().copied().collect(),
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        ..User::default()
    }
}

fn named(name: &str) -> StatementOwner {
    StatementOwner::User(name.to_owned())
}

#[test]
fn a_name_on_a_line_is_never_reassigned() {
    let directory = Directory::new(vec![user("bob", &[443], &[]), user("alice", &[], &[])]);
    assert_eq!(directory.owner("hk-1", 443, Some("alice")), named("alice"));
    assert_eq!(directory.owner("hk-1", 443, Some("carol")), named("hk-1/carol"));
    assert_eq!(directory.owner("hk-1", 443, None), named("bob"));
}

#[test]
fn a_name_that_is_the_ports_number_belongs_to_the_node_unless_the_user_of_that_name_owns_the_port() {
    let users = vec![user("8389", &[8389], &["hk-1"]), user("8388", &[443], &[]), user("443", &[8388], &[])];
    let directory = Directory::new(users);
    // The kernel limits this user, so the bytes are billed to the same one.
    assert_eq!(directory.owner("hk-1", 8389, Some("8389")), named("8389"));
    assert_eq!(directory.owner("hk-1", 8389, None), named("8389"));
    // On another node, nobody of the configuration owns the port.
    assert_eq!(directory.owner("us-1", 8389, Some("8389")), named("us-1/8389"));
    assert_eq!(directory.owner("us-1", 8389, None), StatementOwner::Port(8389));
    // A user of that name exists, but owns another port.
    assert_eq!(directory.owner("hk-1", 8388, Some("8388")), named("hk-1/8388"));
    // The owner of 8388 is called 443, which is a name like any other.
    assert_eq!(directory.owner("hk-1", 8388, Some("443")), named("443"));
}

#[test]
fn a_user_is_looked_for_on_its_own_nodes_only() {
    let directory = Directory::new(vec![user("alice", &[443], &["hk-1"]), user("bob", &[443], &["fr-1"])]);
    assert_eq!(directory.owner("hk-1", 443, None), named("alice"));
    assert_eq!(directory.owner("fr-1", 443, None), named("bob"));
    assert_eq!(directory.owner("us-1", 443, None), StatementOwner::Port(443));
    assert_eq!(directory.owner("fr-1", 443, Some("alice")), named("fr-1/alice"));
}
