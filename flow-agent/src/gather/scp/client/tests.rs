use super::*;

#[test]
fn an_scp_from_before_openssh_9_is_not_used() {
    for (version, client) in [
        ("OpenSSH_8.4p1", CopyProgram::Sftp),
        ("OpenSSH_7.9p1", CopyProgram::Sftp),
        ("OpenSSH_9.2p1", CopyProgram::Scp),
        ("OpenSSH_10.0p2", CopyProgram::Scp),
        ("Dropbear", CopyProgram::Scp),
        ("", CopyProgram::Scp),
    ] {
        assert_eq!(of_version(version), client, "{version}");
    }
}
