use super::*;

#[test]
fn the_kind_that_ssh_prefers_is_taken() {
    let scanned = "# 10.0.0.2:22 SSH-2.0-OpenSSH_9.2\n10.0.0.2 ssh-rsa AAAAB3\n10.0.0.2 ssh-ed25519 AAAAC3+/=\n";
    assert_eq!(best_key(scanned).as_deref(), Some("ssh-ed25519 AAAAC3+/="));
    assert_eq!(best_key("10.0.0.2 ssh-ed25519 AA\u{1b}[2J\n"), None);
    assert_eq!(best_key("# nothing\n"), None);
}

#[test]
fn a_new_key_takes_the_place_of_the_old_and_of_nothing_else() {
    let known = "# ours\n10.0.0.2 ssh-ed25519 OLD\n[10.0.0.2]:2222 ssh-ed25519 OTHER\n10.0.0.20 ssh-rsa THIRD\n";
    assert_eq!(
        believing(known, "10.0.0.2 ssh-ed25519 NEW"),
        "# ours\n[10.0.0.2]:2222 ssh-ed25519 OTHER\n10.0.0.20 ssh-rsa THIRD\n10.0.0.2 ssh-ed25519 NEW\n"
    );
    assert_eq!(believing("", "h k b"), "h k b\n");
}

#[test]
fn a_host_is_an_operand_and_named_as_ssh_names_it() {
    assert_eq!(scan_arguments("-oops", 22)[6..], ["--", "-oops"]);
    assert_eq!(pattern("[2001:db8::7]", 22), "2001:db8::7");
    assert_eq!(pattern("2001:db8::7", 2222), "[2001:db8::7]:2222");
}
