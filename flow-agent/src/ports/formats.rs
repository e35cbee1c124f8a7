//! The formats of port files, each in a file of its own: bytes in, ports and their owners out.

mod address;
mod docker;
mod error;
mod frps;
pub mod frps_hooks;
mod gost;
mod haproxy;
mod hysteria2;
mod json5_text;
mod list;
mod mudb;
mod nginx_stream;
mod port_traffic_dog;
mod realm;
mod shadowsocks;
mod sing_box;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqlite")]
mod ssmgr;
#[cfg(feature = "sqlite")]
mod three_x_ui;
mod tree;
mod wireguard;
mod xray;

pub use error::FormatError;

use address::is_loopback;

use super::{Listed, PortFileFormat};

/// Turns the bytes of one format into ports.
pub trait Format: Sync {
    /// The ports in `text`, their owners, and the rows that could not be used.
    ///
    /// # Errors
    /// For an incomplete file, and for a text that is not of this format. Nothing of it is used then.
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError>;

    /// Like [`Format::parse`], for a format that may refer to ports in environment variables.
    ///
    /// # Errors
    /// As [`Format::parse`].
    fn parse_in(&self, text: &[u8], environment: &Environment<'_>) -> Result<Listed, FormatError> {
        let _unused = environment;
        self.parse(text)
    }

    /// The endings of the files to be read if the path is a folder; empty if the format does not support folders.
    fn folder_extensions(&self) -> &'static [&'static str] {
        &[]
    }

    /// The tables to be read if the format is an SQLite database.
    #[cfg(feature = "sqlite")]
    fn tables(&self) -> Option<&dyn sqlite::PanelTables> {
        None
    }
}

/// Looks up an environment variable.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The reader of `format`.
pub fn of(format: PortFileFormat) -> &'static dyn Format {
    match format {
        PortFileFormat::Mudb => &mudb::Mudb,
        PortFileFormat::List => &list::List,
        PortFileFormat::PortTrafficDog => &port_traffic_dog::PortTrafficDog,
        PortFileFormat::Shadowsocks => &shadowsocks::Shadowsocks,
        PortFileFormat::Realm => &realm::Realm,
        PortFileFormat::Xray => &xray::Xray,
        PortFileFormat::SingBox => &sing_box::SingBox,
        PortFileFormat::Hysteria2 => &hysteria2::Hysteria2,
        #[cfg(feature = "sqlite")]
        PortFileFormat::ThreeXUi => &three_x_ui::ThreeXUi,
        #[cfg(feature = "sqlite")]
        PortFileFormat::Ssmgr => &ssmgr::Ssmgr,
        #[cfg(not(feature = "sqlite"))]
        PortFileFormat::ThreeXUi | PortFileFormat::Ssmgr => &WithoutSqlite,
        PortFileFormat::Docker => &docker::Docker,
        PortFileFormat::Pterodactyl => &docker::Pterodactyl,
        PortFileFormat::Frps => &frps::Frps,
        PortFileFormat::Gost => &gost::Gost,
        PortFileFormat::Nginx => &nginx_stream::NginxStream,
        PortFileFormat::Haproxy => &haproxy::Haproxy,
        PortFileFormat::Wireguard => &wireguard::WireGuard,
    }
}

/// Takes the place of the formats that this build cannot read.
#[cfg(not(feature = "sqlite"))]
struct WithoutSqlite;

#[cfg(not(feature = "sqlite"))]
impl Format for WithoutSqlite {
    fn parse(&self, _text: &[u8]) -> Result<Listed, FormatError> {
        Err(FormatError::NotBuiltIn { feature: "sqlite" })
    }
}
