//! Whole projects: which one a folder belongs to, what its file asks for, and having that, all or
//! nothing. Never prints.

pub mod error;
mod find;
mod format;
mod init;
mod launch;
mod outputs;
mod prepare;
mod variables;

pub use error::Error;
pub use find::{FILE, FILES, Project, file_for};
pub use format::Definition;
pub(crate) use format::upper;
pub use init::{Draft, draft};
pub use prepare::{Forecast, Prepare, Prepared, PreparedPort};
