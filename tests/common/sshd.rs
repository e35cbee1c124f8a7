//! A real sshd in a network namespace, which accepts one key.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, io};

use super::daemon::{Daemon, in_netns, wait_until};
use super::smtpd::listens;

/// Lets root log in with one key, which is made for this server.
pub struct Sshd {
    /// The client's private key.
    pub identity_file: PathBuf,
    /// The server's public host key: `ssh-ed25519 AAAA…`.
    pub host_key: String,
    pub port: u16,
    _daemon: Daemon,
}

impl Sshd {
    /// Starts it in `netns` on `address`. Its files are in `dir`, and its log is `dir/sshd.log`.
    ///
    /// `extra` is appended to its configuration (`ForceCommand …`). If it contains a `Subsystem`, that replaces the
    /// usual one.
    pub fn start(netns: &str, dir: &Path, address: &str, port: u16, extra: &str) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        let (host_key, client_key) = (dir.join("host_key"), dir.join("client_key"));
        for key in [&host_key, &client_key] {
            make_key(key)?;
        }
        fs::copy(client_key.with_extension("pub"), dir.join("authorized_keys"))?;
        // sshd needs this directory for privilege separation and does not start without it.
        fs::create_dir_all("/run/sshd")?;
        let config = dir.join("sshd_config");
        let subsystem = if extra.contains("Subsystem ") { "" } else { "Subsystem sftp internal-sftp\n" };
        fs::write(
            &config,
            format!(
                "ListenAddress {address}:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
                 StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
                 PermitRootLogin prohibit-password\nUseDNS no\n{subsystem}{extra}\n",
                host_key.display(),
                dir.join("authorized_keys").display(),
            ),
        )?;
        let mut command = in_netns(netns, "/usr/sbin/sshd");
        command.arg("-D").arg("-f").arg(&config).arg("-E").arg(dir.join("sshd.log")).stdin(Stdio::null());
        let mut daemon = Daemon::start(&mut command)?;
        wait_until("sshd listens", Duration::from_secs(20), || {
            assert!(!daemon.has_ended(), "sshd ended: see {}", dir.join("sshd.log").display());
            listens(netns, port)
        });
        let host_key = fs::read_to_string(host_key.with_extension("pub"))?;
        let host_key = host_key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        Ok(Self { identity_file: client_key, host_key, port, _daemon: daemon })
    }

    /// The line for this server in a known_hosts file, in which it is called `host`.
    pub fn known_hosts_line(&self, host: &str) -> String {
        match self.port {
            22 => format!("{host} {}\n", self.host_key),
            port => format!("[{host}]:{port} {}\n", self.host_key),
        }
    }
}

fn make_key(path: &Path) -> io::Result<()> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "flow-agent-test", "-f"]).arg(path);
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("ssh-keygen failed: {status}"))) }
}
