use super::sources;

#[test]
fn every_script_is_named_by_its_hash() {
    // printf 'a()\n' | openssl dgst -sha256 -binary | base64
    let first = "'sha256-78Mb6dlYKSr4lLcPgR39KSZyUZtZQimBNqLd+C3BhA4='";
    let second = "'sha256-cf242PFc/kb7xD0Qzhsmd9vvRkc+cWFmbi+k+YvtdKc='";
    assert_eq!(sources("<script>a()\n</script><script type=\"module\">b()</script>"), format!("{first} {second}"));
    assert_eq!(sources("<script>a()\r\n</script>"), first);
    assert_eq!(sources("<p>"), "'none'");
}
