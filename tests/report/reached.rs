//! Why a node's file cannot be fetched, and what to do about it. Each case is tried with a real sshd that is configured
//! that way.

use std::fs;

use crate::days::{Month, month_of, moved, put};
use crate::fleet::Fleet;

#[test]
fn a_node_whose_file_does_not_come_says_what_to_do_about_it() {
    let Some(mut fleet) = Fleet::make(&["hk-1"]) else { return };
    let month = Month::last_complete();
    put(&fleet.node("hk-1").state_dir, &month, &month_of("hk-1", &month, &[moved(443, None, [1, 2, 3, 4])]));
    let report = |fleet: &Fleet| fleet.report(&["--no-mail", "--month", &month.name()]);
    let refused = |fleet: &Fleet, why: &str, help: &str| {
        let ended = report(fleet).with_code(6);
        let told: Vec<&str> = ended.stdout.lines().filter(|line| line.starts_with("! node hk-1: ")).collect();
        assert!(told.len() == 1 && told[0].contains(why) && told[0].contains(help), "{why}, {help}:\n{}", ended.stdout);
    };

    fleet.replace_last("Subsystem other internal-sftp");
    fleet.configure("", "");
    refused(&fleet, "its sshd offers no SFTP (subsystem request failed", "add `Subsystem sftp internal-sftp`");

    // Like a .bashrc that prints something.
    fleet.replace_last("ForceCommand echo Welcome to hk-1, have a nice day; exec /usr/lib/openssh/sftp-server");
    fleet.configure("", "");
    refused(&fleet, "prints text where SFTP should begin", "`ForceCommand internal-sftp -R`");

    let known = fs::read_to_string(fleet.known_hosts()).unwrap();
    fleet.replace_last("");
    fleet.configure("", "");
    fs::write(fleet.known_hosts(), known).unwrap();
    refused(&fleet, "its host key is not the one that was enrolled", "run `flow-agent check --enroll hk-1`");

    // The text of a banner precedes every reason, and is not one.
    let banner = fleet.dir.path().join("banner");
    fs::write(&banner, "Authorized use only. All connections are logged.\n".repeat(40)).unwrap();
    fleet.replace_last(&format!("Banner {}\nDenyUsers root", banner.display()));
    fleet.configure("", "");
    refused(&fleet, "Permission denied (publickey)", "check `user` and `identity_file`");
    fleet.replace_last(&format!("Banner {}", banner.display()));
    fleet.configure("", "");
    report(&fleet).with_code(0);

    fleet.silence_last();
    refused(&fleet, "Connection refused", "check `host` and `port`");
}
