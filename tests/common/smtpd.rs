//! A real mail server (OpenSMTPD) in a network namespace, which stores every letter to example.com in a maildir.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use std::{fs, io};

use super::daemon::{Daemon, in_netns, wait_until};

/// Listens on 127.0.0.1 of its namespace, without encryption.
pub struct Smtpd {
    maildirs: PathBuf,
    pub port: u16,
    daemon: Daemon,
}

impl Smtpd {
    /// Starts it in `netns`, whose loopback must be up. Its files are in `dir`, and its log is `dir/smtpd.log`.
    pub fn start(netns: &str, dir: &Path, port: u16) -> io::Result<Self> {
        let maildirs = dir.join("maildirs");
        fs::create_dir_all(&maildirs)?;
        // Letters are delivered as `nobody`, who needs access to this directory.
        std::os::unix::fs::chown(&maildirs, Some(65_534), Some(65_534))?;
        let config = dir.join("smtpd.conf");
        fs::write(
            &config,
            format!(
                "table receivers {{ \"@\" = nobody }}\n\
                 listen on 127.0.0.1 port {port}\n\
                 action \"keep\" maildir \"{}/%{{rcpt.user}}\" virtual <receivers>\n\
                 match from any for domain \"example.com\" action \"keep\"\n",
                maildirs.display()
            ),
        )?;
        // Its spool and control socket have fixed paths, so a mount namespace separates it from the machine's own.
        let script = "mount -t tmpfs -o mode=755 tmpfs /var/spool && mount -t tmpfs -o mode=755 tmpfs /run && \
                      mkdir -m 711 /var/spool/smtpd && exec /usr/sbin/smtpd -d -f \"$0\"";
        let log = fs::File::create(dir.join("smtpd.log"))?;
        let mut command = in_netns(netns, "unshare");
        command.args(["--mount", "--", "sh", "-c", script]).arg(&config);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut daemon = Daemon::start(&mut command)?;
        wait_until("the mail server listens", Duration::from_secs(20), || {
            assert!(!daemon.has_ended(), "the mail server ended: see {}", dir.join("smtpd.log").display());
            listens(netns, port)
        });
        Ok(Self { maildirs, port, daemon })
    }

    /// Every letter that `user@example.com` has received, unchanged, the oldest first. Waits for letters that were
    /// accepted and are not delivered yet.
    pub fn letters(&self, user: &str) -> Vec<String> {
        // The spool in its mount namespace.
        let spool = Path::new("/proc").join(self.daemon.id().to_string()).join("root/var/spool/smtpd");
        wait_until("the mail server has delivered what it took", Duration::from_secs(20), || {
            ["incoming", "queue"].iter().all(|dir| files_in(&spool.join(dir)) == 0)
        });
        let Ok(entries) = fs::read_dir(self.maildirs.join(user).join("new")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths.iter().filter_map(|path| fs::read(path).ok()).map(|text| String::from_utf8_lossy(&text).into()).collect()
    }

    /// The directory with one maildir for each user.
    pub fn maildirs(&self) -> &Path {
        &self.maildirs
    }
}

/// The number of files in a directory and below it.
fn files_in(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files_in(&entry.path()) } else { 1 }).sum()
}

/// Whether something in `netns` listens on the TCP port.
pub fn listens(netns: &str, port: u16) -> bool {
    let filter = format!("sport = :{port}");
    let output = in_netns(netns, "ss").args(["-Hltn", &filter]).stderr(Stdio::inherit()).output();
    output.is_ok_and(|output| !output.stdout.is_empty())
}
