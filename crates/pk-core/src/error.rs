//! Why a port can't be had.

use std::io;

use crate::{Host, Port, Protocol, Transport};

/// Why a port can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody uses it, or the kernel still keeps it for a connection of a dead server.
    #[error("port {port} is in use")]
    Busy {
        /// The port.
        port: Port,
    },
    /// It is privileged and this user may not bind it (ip(7), `ip_unprivileged_port_start`).
    #[error("port {port} needs a privilege that this user does not have")]
    Denied {
        /// The port.
        port: Port,
    },
    /// The address is not one of this machine's.
    #[error("{host} is not an address of this machine")]
    NotLocal {
        /// The host.
        host: Host,
    },
    /// What is held is wider than the address that was asked for, and a server must never be
    /// reachable from where it did not ask to be.
    #[error("port {port} is held on every address, there is no socket of {host} alone")]
    Wider {
        /// The port.
        port: Port,
        /// The host that was asked for.
        host: Host,
    },
    /// A socket of the one protocol was asked for, and the port was taken for the other.
    #[error("port {port} was taken for {protocol}, so it has no {wanted} socket")]
    OtherProtocol {
        /// The port.
        port: Port,
        /// What it was taken for.
        protocol: Protocol,
        /// What was asked for.
        wanted: Transport,
    },
    /// Another system call failed.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    /// What a failed bind(2) of `port` on an address of `host` means.
    pub(crate) fn of_bind(source: io::Error, host: Host, port: Port) -> Error {
        match source.kind() {
            io::ErrorKind::AddrInUse => Error::Busy { port },
            io::ErrorKind::PermissionDenied => Error::Denied { port },
            io::ErrorKind::AddrNotAvailable => Error::NotLocal { host },
            _ => Error::Io {
                action: "bind a socket",
                source,
            },
        }
    }

    pub(crate) fn io(action: &'static str) -> impl Fn(io::Error) -> Error {
        move |source| Error::Io { action, source }
    }
}
