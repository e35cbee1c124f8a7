//! What the program says and how it exits, without root.

mod config;
