use super::*;

#[test]
fn only_units_that_came_with_the_packages_are_disabled() {
    let before = names("ssh.service enabled enabled\ngetty@.service enabled enabled\n");
    let after =
        names("firewalld.service enabled enabled\nssh.service enabled enabled\ngetty@.service enabled enabled\n");
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), ["firewalld.service"]);
    assert_eq!(names(""), BTreeSet::new());
}
