//! Localhost ports: probe them, look through ranges of them, hold them. Never writes a file, never
//! starts a process.
//!
//! A port is **free** when a bind(2) *without* `SO_REUSEADDR` says so, and **held** while sockets
//! are bound to it that do not listen: nobody else can take it, the kernel does not hand it out,
//! and clients are refused at once instead of hanging in a backlog.
//!
//! ```
//! use pk_core::{Coverage, Hold, Host, Protocol, Wish, Walk};
//!
//! // The first free port of the default range…
//! let mut walk = Walk::new(Protocol::Tcp);
//! let (port, claim) = Wish::default()
//!     .candidates(0, || None)
//!     .find_map(|candidate| Some((candidate, walk.claim(candidate.port).ok()?)))
//!     .expect("some port of ten thousand is free");
//! drop(claim);
//! // …held, until it becomes the server's very own socket.
//! let (host, coverage) = (Host::default(), Coverage::Host);
//! let hold = Hold::acquire(host, port.port, Protocol::Tcp, coverage, port.origin)?;
//! let listener = hold.into_listener()?;
//! assert_eq!(listener.local_addr()?.port(), port.port.number());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Platforms
//! Linux is what this is measured and tested on. Elsewhere the same calls compile to their portable
//! part: a hold covers the addresses of its host, and what `/proc` would tell is unknown.

pub mod candidates;
pub mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod handoff;
pub mod hold;
pub mod host;
#[cfg(test)]
mod lone;
pub mod machine;
pub mod port;
pub mod probe;
pub mod process;
pub mod protocol;
pub mod range;
pub mod sockets;
pub mod start;
mod sys;
pub mod tree;

pub use candidates::{Candidate, Fallback, Origin, Wish};
pub use error::Error;
pub use hold::{Coverage, Hold};
pub use host::Host;
pub use machine::Machine;
pub use port::Port;
pub use probe::Walk;
pub use process::{ProcessId, ProcessState};
pub use protocol::{Protocol, Transport};
pub use range::PortRange;

/// pk-fs' failpoints, in builds that have them; nothing in all others, which do not know pk-fs.
#[cfg(not(feature = "failpoints"))]
macro_rules! failpoint {
    ($name:literal) => {};
}
#[cfg(not(feature = "failpoints"))]
pub(crate) use failpoint;
#[cfg(feature = "failpoints")]
use pk_fs::failpoint;

/// A process that a test starts has copies of all sockets until it has become its program. Tests that
/// need a port to be free at once hold this shared, those that start processes alone.
#[cfg(test)]
static PROCESSES: std::sync::RwLock<()> = std::sync::RwLock::new(());
