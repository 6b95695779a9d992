//! Changes a few values in `.env` and JSON files and keeps every other byte.
#![forbid(unsafe_code)]

pub mod backup;
mod digest;
pub mod dotenv;
pub mod edit;
mod error;
mod journal;
pub mod json;
mod position;
pub mod recovery;
mod rewrite;
mod stamp;
mod state;
mod steps;
mod transaction;
mod undo;

pub use edit::Guards;
pub use error::{Error, ErrorKind};
pub use position::Position;
pub use rewrite::{Create, InPlace, Keep, Preview, Rewrite, Strategy};
pub use state::State;
pub use transaction::{Transaction, Written};

/// The largest file that is read, in bytes: 16 MiB.
pub const MAX_FILE_BYTES: usize = 16 << 20;

#[cfg(test)]
mod crash_tests;
