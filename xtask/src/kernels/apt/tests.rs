use super::*;

#[test]
fn a_suite_comes_from_the_machines_mirror_or_else_from_debian() {
    let own = [("Debian".to_owned(), "http://mirror.example/debian".to_owned())];
    assert_eq!(mirror(&own, "trixie-backports"), "http://mirror.example/debian");
    assert_eq!(mirror(&own, "bullseye-security"), DEBIAN_SECURITY);
    let ubuntu = [("Ubuntu".to_owned(), "http://archive.example/ubuntu".to_owned())];
    assert_eq!(mirror(&ubuntu, "bookworm"), DEBIAN);
}
