//! Quotas: what a user has used of one, and what follows from it.

pub mod due;
pub mod grant;
pub mod notice;
pub mod state;
