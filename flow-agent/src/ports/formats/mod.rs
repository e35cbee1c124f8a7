//! The formats of port files, one file each: bytes in, ports and their owners out.

mod error;
pub mod list;
pub mod mudb;
pub mod tree;

pub use error::FormatError;

use super::Listed;
use crate::ports::PortFileFormat;

/// How the bytes of one format become ports.
pub trait Format: Sync {
    /// The ports of `text`, whose they are, and which rows could not be taken.
    ///
    /// # Errors
    /// For half a file, and for a text that is not of this format: nothing of it is taken then.
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError>;

    /// The endings of the files that count where the path is a folder; empty where the format knows no folders.
    fn folder_extensions(&self) -> &'static [&'static str] {
        &[]
    }
}

/// The reader of `format`.
pub fn of(format: PortFileFormat) -> &'static dyn Format {
    match format {
        PortFileFormat::Mudb => &mudb::Mudb,
        PortFileFormat::List => &list::List,
    }
}
