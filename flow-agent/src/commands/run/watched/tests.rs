//! Sources that shrink, tear and come back, with a clock that the test controls.
#![expect(clippy::disallowed_methods, reason = "a test writes its own files")]

use std::fs;
use std::path::Path;

use super::*;
use crate::config;

fn at(secs: u64) -> Moment {
    Moment { wall: chrono::DateTime::UNIX_EPOCH, boot_ns: secs * 1_000_000_000 }
}

fn start(dir: &Path, config: &str) -> Watched {
    let path = dir.join("config.toml");
    let state_dir = dir.join("state");
    fs::write(&path, format!("node = \"n\"\ntimezone = \"UTC\"\nstate_dir = {state_dir:?}\n{config}")).unwrap();
    Watched::start(config::load(Some(&path), None).unwrap(), None, at(0)).unwrap()
}

fn ports(watched: &Watched) -> Vec<u16> {
    watched.owners().keys().copied().collect()
}

fn run(test: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Watching files requires a runtime.
    runtime.block_on(async { test(dir.path()) });
}

#[test]
fn a_list_that_shrinks_by_more_than_half_is_taken_when_it_stays_so() {
    run(|dir| {
        let list = dir.join("ports.list");
        fs::write(&list, "1 a\n2 b\n3 c\n4 d\n5 e\n").unwrap();
        let mut watched = start(dir, "[ports]\nfiles = [{ path = \"ports.list\", format = \"list\" }]\n");
        fs::write(&list, "1 a\n2 b\n").unwrap();
        assert!(!watched.refresh(at(1)) && watched.must_look());
        // The file was being rewritten, and grows further.
        fs::write(&list, "1 a\n2 f\n").unwrap();
        assert!(!watched.refresh(at(10)) && !watched.refresh(at(19)));
        assert_eq!(ports(&watched), [1, 2, 3, 4, 5]);
        assert!(watched.refresh(at(20)) && !watched.must_look());
        assert_eq!(ports(&watched), [1, 2]);
        assert_eq!(watched.owners()[&2].as_deref(), Some("f"));
    });
}

#[test]
fn a_users_file_that_is_cut_or_shrinks_leaves_the_users_as_they_are() {
    run(|dir| {
        let users = dir.join("users.csv");
        fs::write(&users, "name,ports\nada,8388\nbob,18388\ncarl,9000\n").unwrap();
        let mut watched = start(dir, "users_file = \"users.csv\"\n");
        fs::write(&users, "name,ports\nada,8388\nbob,183").unwrap();
        assert!(!watched.refresh(at(1)) && watched.must_look());
        assert_eq!(ports(&watched), [8388, 9000, 18388]);
        // An upload that stalls between two lines looks complete.
        fs::write(&users, "name,ports\nada,8388\n").unwrap();
        assert!(!watched.refresh(at(2)) && !watched.refresh(at(11)) && watched.must_look());
        fs::write(&users, "name,ports\nada,8388\nbob,18389\ncarl,9000\n").unwrap();
        assert!(watched.refresh(at(12)) && !watched.must_look());
        assert_eq!(ports(&watched), [8388, 9000, 18389]);
        // Two of three users are removed on purpose.
        fs::write(&users, "name,ports\nada,8388\n").unwrap();
        assert!(!watched.refresh(at(20)));
        assert!(watched.refresh(at(30)) && !watched.must_look());
        assert_eq!(ports(&watched), [8388]);
    });
}

#[test]
fn a_source_that_cannot_be_read_is_looked_at_until_it_can_be() {
    run(|dir| {
        let list = dir.join("ports.list");
        fs::write(&list, "1 a\n2 b\n").unwrap();
        let mut watched = start(dir, "[ports]\nfiles = [{ path = \"ports.list\", format = \"list\" }]\n");
        assert!(!watched.must_look());
        fs::write(&list, "1 a\n2").unwrap();
        assert!(!watched.refresh(at(1)) && watched.must_look());
        fs::write(&list, "1 a\n2 b\n3 c\n").unwrap();
        assert!(watched.refresh(at(2)) && !watched.must_look());
    });
}

#[test]
fn a_reload_that_adds_a_missing_file_does_not_hold_back_the_other_files() {
    run(|dir| {
        let list = dir.join("ports.list");
        fs::write(&list, "1 a\n2 b\n").unwrap();
        let files = |more: &str| format!("[ports]\nfiles = [{{ path = \"ports.list\", format = \"list\" }}{more}]\n");
        let mut watched = start(dir, &files(""));
        assert_eq!(watched.problems(), [] as [&str; 0]);
        let path = dir.join("config.toml");
        let text = fs::read_to_string(&path).unwrap();
        let more = files(", { path = \"more.list\", format = \"list\" }");
        fs::write(&path, text.replace(&files(""), &more)).unwrap();
        watched.reconfigure(config::load(Some(&path), None).unwrap());
        fs::write(&list, "1 a\n2 b\n3 c\n").unwrap();
        assert!(watched.refresh(at(1)) && watched.must_look());
        assert_eq!(ports(&watched), [1, 2, 3]);
        let problem = format!(
            "the port file `{}` has not been read yet: its ports are not counted",
            dir.join("more.list").display()
        );
        assert_eq!(watched.problems(), [problem]);
        fs::write(dir.join("more.list"), "4 d\n").unwrap();
        assert!(watched.refresh(at(2)) && !watched.must_look());
        assert_eq!((ports(&watched), watched.problems().len()), (vec![1, 2, 3, 4], 0));
    });
}

#[test]
fn a_port_that_left_its_file_stops_at_once_and_a_listener_has_time_to_come_back() {
    run(|dir| {
        let mut watched = start(dir, "[ports]\nwatch = [443]\n");
        let find = |watched: &mut Watched, ports: &[u16], listening: &[u16], secs: u64| {
            let wanted = Wanted {
                ports: ports.iter().map(|port| (*port, None)).collect(),
                listening: listening.iter().copied().collect(),
                files: BTreeMap::new(),
                sources: Vec::new(),
                details: BTreeMap::new(),
                warnings: Vec::new(),
            };
            let found = Box::new(Found { users_problem: None, wanted: Ok(wanted) });
            let look = watched.look.take().unwrap();
            watched.take(Looked { look, found }, at(secs))
        };
        find(&mut watched, &[8443, 9000], &[9000], 10);
        assert_eq!(ports(&watched), [8443, 9000]);
        find(&mut watched, &[9000], &[9000], 20);
        assert_eq!(ports(&watched), [9000]);
        find(&mut watched, &[], &[], 30);
        assert_eq!(ports(&watched), [9000], "its service may come back");
        assert!(find(&mut watched, &[], &[], 620));
        assert_eq!(ports(&watched), [0_u16; 0]);
        // Ports whose listeners are gone do not count against the maximum.
        watched.config.count.max_ports = 2;
        find(&mut watched, &[1, 2], &[2], 700);
        find(&mut watched, &[3, 4], &[], 701);
        assert_eq!(ports(&watched), [3, 4]);
    });
}
