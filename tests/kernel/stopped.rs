//! An agent that is kept busy: the service manager notices it, and the agent still answers signals.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::Pair;
use crate::common::variant::Variant;

/// SIGTERM is answered within two seconds. The rest is an allowance for a machine with other work.
const ANSWER: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(3);

/// Programs of iptables that hang while a file exists.
struct Hanging {
    variant: Variant,
    flag: PathBuf,
}

impl Hanging {
    fn make() -> Option<Self> {
        let variant = Variant::both(false).into_iter().next()?;
        let directory = PathBuf::from(variant.path());
        let flag = directory.join("hang");
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.to_str().unwrap().ends_with("-save") {
                let program = fs::read_link(&path).unwrap();
                fs::remove_file(&path).unwrap();
                write_script(&path, &program, &flag);
            }
        }
        Some(Self { variant, flag })
    }
}

fn write_script(path: &Path, program: &Path, flag: &Path) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let (flag, program) = (flag.display(), program.display());
    let text = format!("#!/bin/sh\nwhile [ -e {flag} ]; do sleep 0.1; done\nexec {program} {name} \"$@\"\n");
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The service manager's end of the notifications.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(socket)
    }

    /// Waits for a message with this line.
    fn hear(&self, what: &str) {
        let mut buffer = [0; 4096];
        loop {
            let length = self.0.recv(&mut buffer).unwrap_or_else(|error| panic!("{what} did not come: {error}"));
            if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == what) {
                return;
            }
        }
    }

    /// Discards what has arrived so far. Returns whether nothing arrives for this long.
    fn is_silent_for(&self, time: Duration) -> bool {
        self.0.set_nonblocking(true).unwrap();
        while self.0.recv(&mut [0; 4096]).is_ok() {}
        self.0.set_nonblocking(false).unwrap();
        self.0.set_read_timeout(Some(time)).unwrap();
        self.0.recv(&mut [0; 4096]).is_err()
    }
}

#[test]
fn a_program_that_hangs_ends_the_heartbeat_and_does_not_delay_the_answer_to_a_signal() {
    let Some(pair) = Pair::make() else { return };
    let Some(hanging) = Hanging::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.use_programs(hanging.variant.path());
    let manager = Manager::listen(&node.path("notify"));
    let socket = format!("NOTIFY_SOCKET={}", node.path("notify").display());
    node.start_under(&["env", &socket, "WATCHDOG_USEC=3000000"], &["--iptables"]);
    manager.hear("READY=1");
    for _ in 0..3 {
        manager.hear("WATCHDOG=1");
    }
    fs::write(&hanging.flag, "").unwrap();
    // The inspection every five seconds calls the program, and from then on nothing is received.
    wait_until("the heartbeat ends", Duration::from_secs(30), || manager.is_silent_for(Duration::from_secs(3)));

    let asked_at = Instant::now();
    node.signal(rustix::process::Signal::TERM);
    let code = node.wait_for_end();
    let answered = asked_at.elapsed();
    fs::remove_file(&hanging.flag).unwrap();
    assert_eq!(code, Some(4), "{}", node.log());
    assert!(answered < ANSWER + SLACK, "{answered:?}");
    assert!(node.log().contains("the counters hold its bytes"), "{}", node.log());
}
