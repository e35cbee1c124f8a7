//! For unit tests: stand-ins for the kernel and the disk, figures that are plain to see, and the laws of whole rooms.

pub mod crash_disk;
pub mod fixtures;
mod golden;
mod ledger_laws;
pub mod scripted_backend;
pub mod sweep;
