//! The section of the configuration about the ports to watch.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Clone, Debug, PartialEq)]
pub struct PortsConfig {
    pub watch: BTreeSet<u16>,
    /// Whether to watch every port on which something listens, too.
    pub listening: bool,
    pub files: Vec<PortFile>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortFile {
    pub path: PathBuf,
    pub format: PortFileFormat,
}

impl PortFile {
    /// The files whose change means that the contents of this one have changed.
    pub fn watched_paths(&self) -> Vec<PathBuf> {
        let mut paths = vec![self.path.clone()];
        if self.format.is_database() {
            for ending in ["-wal", "-journal"] {
                let mut name = OsString::from(&self.path);
                name.push(ending);
                paths.push(name.into());
            }
        }
        paths
    }
}

/// The format of a port file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortFileFormat {
    /// A JSON array of objects with at least `port` and `user`.
    Mudb,
    /// One port or range per line, then optionally a user's name; `#` begins a comment.
    List,
    PortTrafficDog,
    Shadowsocks,
    #[serde(rename = "3x-ui")]
    ThreeXUi,
    Realm,
    /// Xray and V2Ray.
    Xray,
    SingBox,
    Hysteria2,
    Pterodactyl,
    Docker,
    Frps,
    Gost,
    Ssmgr,
    /// The `stream` servers of nginx.
    Nginx,
    Haproxy,
    Wireguard,
}

impl PortFileFormat {
    pub const ALL: [Self; 17] = [
        Self::Mudb,
        Self::List,
        Self::PortTrafficDog,
        Self::Shadowsocks,
        Self::ThreeXUi,
        Self::Realm,
        Self::Xray,
        Self::SingBox,
        Self::Hysteria2,
        Self::Pterodactyl,
        Self::Docker,
        Self::Frps,
        Self::Gost,
        Self::Ssmgr,
        Self::Nginx,
        Self::Haproxy,
        Self::Wireguard,
    ];

    /// Whether such a file is an SQLite database.
    pub fn is_database(self) -> bool {
        match self {
            Self::ThreeXUi | Self::Ssmgr => true,
            Self::Mudb
            | Self::List
            | Self::PortTrafficDog
            | Self::Shadowsocks
            | Self::Realm
            | Self::Xray
            | Self::SingBox
            | Self::Hysteria2
            | Self::Pterodactyl
            | Self::Docker
            | Self::Frps
            | Self::Gost
            | Self::Nginx
            | Self::Haproxy
            | Self::Wireguard => false,
        }
    }

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mudb => "mudb",
            Self::List => "list",
            Self::PortTrafficDog => "port-traffic-dog",
            Self::Shadowsocks => "shadowsocks",
            Self::ThreeXUi => "3x-ui",
            Self::Realm => "realm",
            Self::Xray => "xray",
            Self::SingBox => "sing-box",
            Self::Hysteria2 => "hysteria2",
            Self::Pterodactyl => "pterodactyl",
            Self::Docker => "docker",
            Self::Frps => "frps",
            Self::Gost => "gost",
            Self::Ssmgr => "ssmgr",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Wireguard => "wireguard",
        }
    }
}

#[cfg(test)]
mod tests;
