//! A ClickHouse server only for the test, with its data in a temporary directory and one port on loopback. It ends when
//! dropped.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::common::daemon::{Daemon, in_netns, wait_until};
use crate::common::have_program;

/// The Python of a virtual environment with `chdb`, if the newest engine is to be used.
const CHDB_PYTHON: &str = "FLOW_AGENT_CHDB";

pub struct Engine {
    pub port: u16,
    dir: PathBuf,
    netns: Option<String>,
    daemon: Option<Daemon>,
}

impl Engine {
    /// Starts a server with its data in `dir`, and creates the tables. If there is no server, prints that on stderr and
    /// returns `None`.
    pub fn start(dir: &Path, netns: Option<&str>) -> Option<Self> {
        if std::env::var_os(CHDB_PYTHON).is_none() && !have_program("clickhouse-server", "sending hours to ClickHouse")
        {
            return None;
        }
        fs::create_dir_all(dir).unwrap();
        // In a separate namespace every port is free. Otherwise, ask the kernel for a free one.
        let port = match netns {
            Some(_) => 18_123,
            None => TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(),
        };
        let mut engine = Self { port, dir: dir.to_owned(), netns: netns.map(str::to_owned), daemon: None };
        engine.run();
        Some(engine)
    }

    /// Whether the engine is new enough for the whole schema. If not, prints that on stderr.
    pub fn has_views(&self) -> bool {
        let has_views = std::env::var_os(CHDB_PYTHON).is_some();
        if !has_views {
            eprintln!("skipped: {CHDB_PYTHON} names no newer engine, and Debian's has no views");
        }
        has_views
    }

    /// Starts the server again with the same data and port.
    pub fn run(&mut self) {
        let mut command = match std::env::var_os(CHDB_PYTHON) {
            Some(python) => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/report/clickhouse/chdb_server.py");
                let mut command = self.command(&python.to_string_lossy());
                command.arg(script).arg(self.dir.join("data")).arg(self.port.to_string());
                command
            }
            None => {
                self.configure();
                let mut command = self.command("clickhouse-server");
                command.arg("--config-file").arg(self.dir.join("config.xml"));
                command
            }
        };
        let log = fs::File::create(self.dir.join("output")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).current_dir(&self.dir);
        self.daemon = Some(Daemon::start(&mut command).unwrap());
        wait_until("ClickHouse answers", Duration::from_secs(60), || {
            let has_ended = self.daemon.as_mut().unwrap().has_ended();
            assert!(!has_ended, "ClickHouse ended: {}", fs::read_to_string(self.dir.join("output")).unwrap());
            self.try_query("SELECT 1").is_ok()
        });
    }

    /// Kills the server, as the kernel does when memory runs out.
    pub fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.signal(Signal::KILL);
            // Wait for its end, because the next server needs its port and its data.
            let _ = daemon.wait(Duration::from_secs(10));
        }
    }

    /// The result of a query in the format TabSeparated.
    pub fn query(&self, sql: &str) -> String {
        self.try_query(sql).unwrap()
    }

    fn try_query(&self, sql: &str) -> Result<String, String> {
        let mut curl = self.command("curl");
        curl.args(["-sS", "--fail-with-body", "--max-time", "60", "--data-binary", sql]);
        let output = curl.arg(format!("http://127.0.0.1:{}/", self.port)).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(text) } else { Err(text) }
    }

    /// The `[fleet]` section of a configuration.
    pub fn section(&self) -> String {
        format!("[fleet]\nurl = \"http://127.0.0.1:{}\"\n", self.port)
    }

    fn command(&self, program: &str) -> Command {
        match &self.netns {
            Some(netns) => in_netns(netns, program),
            None => Command::new(program),
        }
    }

    fn configure(&self) {
        let path = |name: &str| format!("{}/", self.dir.join(name).display());
        for name in ["data", "tmp", "user_files"] {
            fs::create_dir_all(self.dir.join(name)).unwrap();
        }
        let mut xml = String::from("<?xml version=\"1.0\"?>\n<yandex>\n<logger><level>warning</level>");
        write!(xml, "<log>{0}/log</log><errorlog>{0}/errors</errorlog></logger>", self.dir.display()).unwrap();
        write!(
            xml,
            "<http_port>{}</http_port><listen_host>127.0.0.1</listen_host><path>{}</path><tmp_path>{}</tmp_path>\
             <user_files_path>{}</user_files_path><users_config>users.xml</users_config>\
             <default_profile>default</default_profile><default_database>default</default_database>\
             <mark_cache_size>100000000</mark_cache_size></yandex>",
            self.port,
            path("data"),
            path("tmp"),
            path("user_files")
        )
        .unwrap();
        fs::write(self.dir.join("config.xml"), xml).unwrap();
        fs::write(
            self.dir.join("users.xml"),
            "<?xml version=\"1.0\"?>\n<yandex><profiles><default/></profiles><users><default><password></password>\
             <networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></default></users>\
             <quotas><default/></quotas></yandex>",
        )
        .unwrap();
    }
}
