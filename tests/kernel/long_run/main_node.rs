//! The main node of a long run: it gathers the node's days over a real sshd, bills each port, and mails the statements.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::agent::{Node, PROGRAM};
use crate::common::daemon::in_netns;
use crate::common::netns::{HOST4, Pair};
use crate::common::smtpd::Smtpd;
use crate::common::sshd::Sshd;
use crate::soak::PORTS;

const SSH_PORT: u16 = 2_222;
const SMTP_PORT: u16 = 2_525;

/// The main node runs in the namespace of the peer.
pub struct MainNode {
    netns: String,
    dir: tempfile::TempDir,
    mails: Smtpd,
    _sshd: Sshd,
}

impl MainNode {
    /// Starts the node's sshd and the main node's mail server. Each of `PORTS` has a user of its own.
    pub fn begin(pair: &Pair, node: &Node) -> Self {
        let dir = tempfile::Builder::new().prefix("flow-agent-main").tempdir().unwrap();
        let address = HOST4.to_string();
        let sshd = Sshd::start(&pair.host, &dir.path().join("sshd"), &address, SSH_PORT, "").unwrap();
        // The mail server delivers as `nobody`.
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mails = Smtpd::start(&pair.peer, &dir.path().join("smtpd"), SMTP_PORT).unwrap();
        let known_hosts = dir.path().join("known_hosts");
        fs::write(&known_hosts, sshd.known_hosts_line(&address)).unwrap();
        let mut config = format!(
            "node = \"main\"\ntimezone = \"UTC\"\nstate_dir = {:?}\n\
             [[nodes]]\nname = \"node\"\nhost = {address:?}\nport = {SSH_PORT}\nuser = \"root\"\n\
             state_dir = {:?}\nidentity_file = {:?}\n\
             [report]\nknown_hosts = {known_hosts:?}\nmin_coverage = 0.0\n\
             [mail]\nserver = \"smtp+insecure://127.0.0.1:{SMTP_PORT}\"\n\
             from = \"Flow Agent <report@example.com>\"\nadmins = [\"ops@example.com\"]\n",
            dir.path().join("main"),
            node.state_dir(),
            sshd.identity_file,
        );
        for port in PORTS {
            write!(
                config,
                "[[users]]\nname = \"user-{port}\"\nports = [{port}]\nemail = \"user-{port}@example.com\"\n"
            )
            .unwrap();
        }
        fs::write(dir.path().join("config.toml"), config).unwrap();
        Self { netns: pair.peer.clone(), dir, mails, _sshd: sshd }
    }

    /// Gathers and reports the month in progress, and mails the statements if `mail` says so.
    pub fn report(&self, mail: bool) {
        let mut command = in_netns(&self.netns, PROGRAM);
        command.args(["report", "--month", "this"]).args((!mail).then_some("--no-mail"));
        let output = command.arg("--config").arg(self.dir.path().join("config.toml")).output().unwrap();
        // Some of the month is always missing, because the node is new.
        assert!(matches!(output.status.code(), Some(0 | 6)), "{output:?}");
    }

    /// What the last report billed to each port, by the name of the field (`udp_in_bytes`).
    pub fn billed(&self) -> BTreeMap<u16, BTreeMap<String, u64>> {
        let mut reports: Vec<PathBuf> =
            fs::read_dir(self.dir.path().join("main/reports")).unwrap().map(|entry| entry.unwrap().path()).collect();
        reports.sort();
        let text = fs::read_to_string(reports.last().unwrap().join("report.json")).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        let of_user = |statement: &Value| {
            let port = statement["user"].as_str()?.strip_prefix("user-")?.parse().ok()?;
            let fields = statement["total"].as_object()?.iter();
            Some((port, fields.filter_map(|(name, value)| Some((name.clone(), value.as_u64()?))).collect()))
        };
        report["statements"].as_array().unwrap().iter().filter_map(of_user).collect()
    }

    /// How many letters the admin has received.
    pub fn letters(&self) -> usize {
        self.mails.letters("ops").len()
    }
}
