use super::*;

#[test]
fn a_letter_is_found_by_the_name_of_its_user() {
    for (user, name) in [
        ("alice", "0007-alice.eml"),
        ("hk-1/acct_8388", "0007-hk-1-acct_8388.eml"),
        ("张伟", "0007-张伟.eml"),
        ("bob@example.com", "0007-bob@example.com.eml"),
        ("../../etc/cron.d/x", "0007-etc-cron.d-x.eml"),
        ("<script>alert(1)</script>", "0007-script-alert-1-script.eml"),
        ("-rf", "0007-rf.eml"),
        (".. /", "0007.eml"),
    ] {
        assert_eq!(file_name(7, user), name);
    }
    // A file name has at most 255 bytes, on any file system.
    assert_eq!(file_name(12_345, &"伟".repeat(100)), format!("12345-{}.eml", "伟".repeat(33)));
}
