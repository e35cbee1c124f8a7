//! EDGE kernel: attaching the programs to devices, and detecting what others have attached there.

pub mod attacher;
pub mod filter;
pub mod foreign;
pub mod link;
