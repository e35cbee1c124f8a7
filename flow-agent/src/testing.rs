//! For unit tests: stand-ins for the kernel and the disk, simple sample data, and laws that span whole modules.

pub mod crash_disk;
pub mod fixtures;
mod golden;
mod ledger_laws;
pub mod scripted_backend;
pub mod sweep;
