//! The formats of port files, one file each: bytes in, ports and their owners out.

pub mod list;
pub mod mudb;
