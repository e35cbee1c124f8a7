//! Quotas: what a user has used of one, and what follows from it.

pub mod notice;
