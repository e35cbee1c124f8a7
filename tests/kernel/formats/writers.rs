//! Panels and servers of every format, as they write their ports.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Writes ports and their owners in one format.
type Write = fn(&[(u16, &str)]) -> String;

/// What a format knows about owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    EachByItsOwn,
    /// All ports of a file form one group.
    AllByOne,
    ByNobody,
}

/// A source of ports, and how it is written.
pub struct Panel {
    pub format: &'static str,
    owned: Owned,
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    /// A file that is replaced by another, as careful panels do.
    File(Write),
    /// A file for each port.
    Folder(Write),
    /// The panel keeps its database open, and writes one transaction at a time.
    #[cfg(feature = "sqlite")]
    Database(rusqlite::Connection, Write),
}

const FILES: [(&str, Owned, Write); 14] = [
    ("list", Owned::EachByItsOwn, |ports| ports.iter().map(|(port, user)| format!("{port} {user}\n")).collect()),
    ("mudb", Owned::EachByItsOwn, |ports| {
        json(ports, |port, user| json!({ "port": port, "user": user }), |rows| json!(rows))
    }),
    ("port-traffic-dog", Owned::EachByItsOwn, |ports| {
        let ports: serde_json::Map<_, _> =
            ports.iter().map(|(port, user)| (port.to_string(), json!({ "remark": user }))).collect();
        json!({ "ports": ports }).to_string()
    }),
    ("shadowsocks", Owned::EachByItsOwn, |ports| {
        json(ports, |port, user| json!({ "server_port": port, "remarks": user }), |rows| json!({ "servers": rows }))
    }),
    ("realm", Owned::EachByItsOwn, |ports| {
        let row =
            |(port, user): &(u16, &str)| format!("[[endpoints]]\nlisten = \"0.0.0.0:{port}\"\nremark = {user:?}\n");
        format!("[network]\n{}", ports.iter().map(row).collect::<String>())
    }),
    ("xray", Owned::EachByItsOwn, |ports| {
        let inbound = |port, user: &str| json!({ "port": port, "settings": { "clients": [{ "email": user }] } });
        json(ports, inbound, |rows| json!({ "inbounds": rows }))
    }),
    ("sing-box", Owned::EachByItsOwn, |ports| {
        let inbound = |port, user: &str| json!({ "type": "vless", "listen_port": port, "users": [{ "name": user }] });
        json(ports, inbound, |rows| json!({ "inbounds": rows }))
    }),
    ("gost", Owned::EachByItsOwn, |ports| {
        let row = |(port, user): &(u16, &str)| {
            format!("- addr: \":{port}\"\n  handler:\n    auth:\n      username: {user}\n")
        };
        format!("services:\n{}", ports.iter().map(row).collect::<String>())
    }),
    ("docker", Owned::EachByItsOwn, |ports| {
        let container = |port: u16, user: &str| {
            let bound = json!({ "80/udp": [{ "HostIp": "0.0.0.0", "HostPort": port.to_string() }] });
            json!({ "Id": "x", "Config": { "Labels": { "flow-agent.user": user } }, "NetworkSettings": { "Ports": bound } })
        };
        json(ports, container, |rows| json!(rows))
    }),
    ("pterodactyl", Owned::EachByItsOwn, |ports| {
        let container = |port: u16, user: &str| {
            let bound = json!({ "80/udp": [{ "HostIp": "0.0.0.0", "HostPort": port.to_string() }] });
            let labels = json!({ "Service": "Pterodactyl", "ContainerType": "server_process" });
            json!({ "Id": "x", "Name": user, "Config": { "Labels": labels }, "NetworkSettings": { "Ports": bound } })
        };
        json(ports, container, |rows| json!(rows))
    }),
    ("frps", Owned::EachByItsOwn, |ports| {
        let proxy = |port, user: &str| json!({ "name": "p", "user": user, "conf": { "remotePort": port } });
        json(ports, proxy, |rows| json!({ "proxies": rows }))
    }),
    ("hysteria2", Owned::AllByOne, |ports| {
        let listen = ports.iter().map(|(port, _)| port.to_string()).collect::<Vec<_>>().join(",");
        format!("listen: :{listen}\nauth:\n  type: userpass\n  userpass:\n    {}: secret\n", ports[0].1)
    }),
    ("nginx", Owned::ByNobody, |ports| {
        let server = |(port, _): &(u16, &str)| format!("    server {{ listen {port} udp; proxy_pass 10.0.0.1:53; }}\n");
        format!("stream {{\n{}}}\n", ports.iter().map(server).collect::<String>())
    }),
    ("haproxy", Owned::ByNobody, |ports| {
        ports.iter().map(|(port, _)| format!("frontend f{port}\n    bind :{port},[::]:{port}\n")).collect()
    }),
];

/// The tables of a panel, and how it rewrites its ports.
#[cfg(feature = "sqlite")]
const DATABASES: [(&str, &str, Write); 2] = [
    ("3x-ui", "CREATE TABLE inbounds (id INTEGER PRIMARY KEY, port INTEGER, remark TEXT, settings TEXT)", |ports| {
        let inbound = |(port, user): &(u16, &str)| {
            let settings = json!({ "clients": [{ "email": user }] });
            format!("INSERT INTO inbounds (port, remark, settings) VALUES ({port}, 'r', '{settings}');")
        };
        format!("DELETE FROM inbounds; {}", ports.iter().map(inbound).collect::<String>())
    }),
    (
        "ssmgr",
        "CREATE TABLE user (id INTEGER PRIMARY KEY, username TEXT);
         CREATE TABLE account_plugin (id INTEGER PRIMARY KEY, type INTEGER, port INTEGER, userId INTEGER, data TEXT);
         INSERT INTO user VALUES (1, 'ada'), (2, 'bob'), (3, 'carl')",
        |ports| {
            let account = |(port, user): &(u16, &str)| {
                let id = format!("(SELECT id FROM user WHERE username = '{user}')");
                format!("INSERT INTO account_plugin (type, port, userId) VALUES (1, {port}, {id});")
            };
            format!("DELETE FROM account_plugin; {}", ports.iter().map(account).collect::<String>())
        },
    ),
];

/// One panel for each format, each with its own source in `directory`.
pub fn panels(directory: &Path) -> Vec<Panel> {
    fs::create_dir(directory).unwrap();
    let path = |format: &str| directory.join(format);
    let files =
        FILES.map(|(format, owned, write)| Panel { format, owned, path: path(format), kind: Kind::File(write) });
    let mut panels = Vec::from(files);
    let wireguard: Write = |ports| format!("[Interface]\nListenPort = {}\n", ports[0].0);
    fs::create_dir(path("wireguard")).unwrap();
    let kind = Kind::Folder(wireguard);
    panels.push(Panel { format: "wireguard", owned: Owned::ByNobody, path: path("wireguard"), kind });
    #[cfg(feature = "sqlite")]
    for (format, tables, write) in DATABASES {
        let database = rusqlite::Connection::open(path(format)).unwrap();
        database.pragma_update(None, "journal_mode", "wal").unwrap();
        // No patience at all: if anything blocks the panel, its write fails.
        database.busy_timeout(std::time::Duration::ZERO).unwrap();
        database.execute_batch(tables).unwrap();
        let kind = Kind::Database(database, write);
        panels.push(Panel { format, owned: Owned::EachByItsOwn, path: path(format), kind });
    }
    panels
}

impl Panel {
    pub fn owned(&self) -> Owned {
        self.owned
    }

    /// What the log has for this owner: an empty name if the format knows no owners.
    pub fn shown<'u>(&self, user: &'u str) -> &'u str {
        if self.owned == Owned::ByNobody { "" } else { user }
    }

    /// The entry for it in `ports.files`.
    pub fn in_configuration(&self) -> String {
        format!("{{ path = {:?}, format = {:?} }}", self.path, self.format)
    }

    /// Writes these ports, which replace all others.
    pub fn write(&self, ports: &[(u16, &str)]) {
        match &self.kind {
            Kind::File(write) => replace(&self.path, &write(ports)),
            Kind::Folder(write) => {
                let file = |port: u16| self.path.join(format!("wg{port}.conf"));
                for row in ports {
                    replace(&file(row.0), &write(&[*row]));
                }
                for entry in fs::read_dir(&self.path).unwrap() {
                    let path = entry.unwrap().path();
                    if !ports.iter().any(|(port, _)| path == file(*port)) {
                        fs::remove_file(path).unwrap();
                    }
                }
            }
            #[cfg(feature = "sqlite")]
            Kind::Database(database, write) => {
                database.execute_batch(&format!("BEGIN IMMEDIATE; {} COMMIT", write(ports))).unwrap();
            }
        }
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

fn json(ports: &[(u16, &str)], row: impl Fn(u16, &str) -> Value, all: impl Fn(Vec<Value>) -> Value) -> String {
    all(ports.iter().map(|(port, user)| row(*port, user)).collect()).to_string()
}
