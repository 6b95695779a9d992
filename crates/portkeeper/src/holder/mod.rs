//! A small detached process that keeps a port's sockets when the command that reserved it has
//! ended. Never writes the registry.
//!
//! It is this program once more, started with a socket as its standard input. Over that socket come
//! its orders and, as open descriptors, everything that it keeps: the bound sockets, the locked
//! liveness file, the control socket. So there is no moment at which the port is free or the
//! reservation looks abandoned, and nothing leaks that was not meant.

pub(crate) mod client;
pub(crate) mod launch;
mod message;
mod serve;

use std::ffi::OsString;
use std::path::PathBuf;

pub use serve::serve;

/// How the program that contains this library is started as a holder: it must call
/// [`serve`] as the first thing it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderCommand {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}
