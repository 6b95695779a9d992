//! New bytes for a file, all or nothing. Never truncates a file in place.
//!
//! *Volatile* is for data that a reboot voids anyway: a temp file and a rename, no fsync.
//! *Durable* is for people's files: fsync, and everything that made the file theirs is kept.

mod aside;
mod durable;
mod volatile;

pub use aside::set_aside;
pub use durable::*;
pub use volatile::{Error, Onto, sweep, volatile};
