//! Giving held ports to programs that know nothing of it: when a process of a tree calls bind(2)
//! with a held port, its own socket is let in behind the hold, which goes on keeping everybody else
//! out; all other calls go on untouched. Never lets go of a port, and never gives a program an
//! address that it did not ask for. On Linux alone.
//!
//! The tree begins with a child whose [`Setup`](super::child::Setup) asked for it. Its calls wait
//! until they are answered here, so whoever has an [`Adopter`] must serve it for as long as the tree
//! lives: when the listener is closed, every later bind and listen of the tree fails (ENOSYS).

#[cfg(target_os = "linux")]
mod adopter;
#[cfg(target_os = "linux")]
mod asked;
#[cfg(target_os = "linux")]
mod bind;
#[cfg(target_os = "linux")]
mod descriptor;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod listen;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod servers;
#[cfg(not(target_os = "linux"))]
mod unsupported;

use std::io;
use std::net::IpAddr;

#[cfg(target_os = "linux")]
pub use adopter::{Adopter, probe};
#[cfg(not(target_os = "linux"))]
pub use unsupported::{Adopter, probe};

use crate::{Port, Transport};

/// What happened to a call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A process has an address of a held port.
    Bound {
        /// The process.
        pid: u32,
        /// The port.
        port: Port,
        /// The address.
        address: IpAddr,
        /// The protocol.
        transport: Transport,
    },
    /// A process listens on a held port from now on.
    Listening {
        /// The process.
        pid: u32,
        /// The port.
        port: Port,
        /// The address.
        address: IpAddr,
    },
    /// A process could not have an address of a held port.
    Refused {
        /// The process.
        pid: u32,
        /// The port.
        port: Port,
        /// The address.
        address: IpAddr,
        /// What it was told.
        why: io::Error,
    },
    /// A process can't be looked into, so its calls go on untouched; on a held port they fail.
    Unreadable {
        /// The process.
        pid: u32,
        /// The system's reason.
        why: io::Error,
    },
    /// It was no affair of ours and went on untouched.
    Passed,
}
