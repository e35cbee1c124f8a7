//! EDGE kernel: attaching the programs to devices, and what others attached there.

pub mod attacher;
pub mod filter;
pub mod foreign;
pub mod link;
