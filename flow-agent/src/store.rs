//! EDGE files: the contents of the state directory, written so that a crash or a full disk loses nothing that was
//! sealed.
//!
//! Every durable write goes through [`disk`]. The type of a lock decides what its holder may write ([`lock`]).

pub mod append;
pub mod blocks;
pub mod checkpoint;
pub mod compressed;
pub mod cumulative;
pub mod damage;
pub mod disk;
pub mod document;
pub mod error;
pub mod first_counted;
pub mod grants;
pub mod hours;
pub mod instance;
pub mod journal;
pub mod layout;
mod ledger;
pub mod lines;
pub mod lock;
pub mod logged_days;
pub mod notices;
pub mod owed;
pub mod ports;
pub mod reports;
pub mod retention;
pub mod seal_lines;
pub mod seals;
pub mod sent;
pub mod ship;
pub mod table;

pub use error::StoreError;
pub use layout::StateDir;
pub use lock::{DailyLock, GrantsLock, NoticesLock, ReportLock, RunLock, ShipLock};
