//! Quotas: what a user may still transfer, what a user has used, and what follows from it.

pub mod budget;
pub mod due;
pub mod grant;
pub mod notice;
pub mod state;
pub mod stated;
