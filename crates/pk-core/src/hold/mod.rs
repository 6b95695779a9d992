//! A hold: sockets that are bound to a port and do not listen, so that nobody else gets it. Never
//! accepts a connection and never gives a program a wider address than it asked for.
//!
//! All of them are bound without `SO_REUSEADDR`, because with it every server that sets the option
//! (and all do) could bind the port as well. See ip(7) and `docs/design` for what was measured.

mod everywhere;

use std::net::{IpAddr, Ipv6Addr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::net::AddressFamily;
use socket2::Socket;
use tracing::debug;

use crate::probe::{self, Stack};
use crate::sockets::{self, States};
use crate::{Error, Host, Origin, Port};

/// Which addresses a hold keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// Those that the host stands for. Keeps out servers on wildcard addresses too, and can become
    /// a listener of exactly that host.
    Host,
    /// Every address of the machine: what is held for a program that is not known yet. Where the
    /// port was asked for by number and something uses it on an address that the host does not
    /// stand for, the hold keeps to those of the host.
    Everywhere,
}

/// A port that is held for as long as this value, or a copy of one of its descriptors, is open.
#[derive(Debug)]
#[must_use = "the port is free again when this is dropped"]
pub struct Hold {
    host: Host,
    port: Port,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    address: IpAddr,
    socket: Socket,
}

/// The number of clients that may wait to be accepted.
const BACKLOG: i32 = 1024;

impl Hold {
    /// Takes `port`. One that was asked for by number is had even when connections of a dead server
    /// linger on it (`TIME_WAIT`): they hinder nobody who sets `SO_REUSEADDR`, as servers do.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Denied`], [`Error::NotLocal`], [`Error::Io`].
    pub fn acquire(
        host: Host,
        port: Port,
        coverage: Coverage,
        origin: Origin,
    ) -> Result<Hold, Error> {
        let members = match coverage {
            Coverage::Host => of_host(host, port, origin)?,
            Coverage::Everywhere => match everywhere::acquire(host, port, origin) {
                Err(Error::Busy { .. }) if origin == Origin::Number => {
                    debug!(%port, "not free everywhere, holding the host's addresses");
                    of_host(host, port, origin)?
                }
                members => members?,
            },
        };
        Ok(Hold {
            host,
            port,
            members,
        })
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> Port {
        self.port
    }

    /// The host that it was taken for.
    #[must_use]
    pub fn host(&self) -> Host {
        self.host
    }

    /// The held socket of the host's own address, listening from now on: the port is at no moment
    /// free. The other sockets of the hold are closed.
    ///
    /// # Errors
    /// [`Error::Wider`] where there is no socket of exactly that address, [`Error::Io`].
    pub fn into_listener(self) -> Result<TcpListener, Error> {
        let own = self.host.address();
        let Some(member) = self
            .members
            .into_iter()
            .find(|member| member.address == own)
        else {
            return Err(Error::Wider {
                port: self.port,
                host: self.host,
            });
        };
        listen(member.socket)
    }

    /// Like [`Hold::into_listener`], on a copy of the socket: the hold stays as it is and goes on
    /// keeping the other addresses.
    ///
    /// # Errors
    /// As there.
    pub fn listener(&self) -> Result<TcpListener, Error> {
        let own = self.host.address();
        let Some(member) = self.members.iter().find(|member| member.address == own) else {
            return Err(Error::Wider {
                port: self.port,
                host: self.host,
            });
        };
        listen(
            member
                .socket
                .try_clone()
                .map_err(Error::io("copy a socket"))?,
        )
    }

    /// The sockets, to be passed to the process that goes on holding.
    #[must_use]
    pub fn into_descriptors(self) -> Vec<OwnedFd> {
        self.members
            .into_iter()
            .map(|member| member.socket.into())
            .collect()
    }
}

fn listen(socket: Socket) -> Result<TcpListener, Error> {
    let again = || -> std::io::Result<()> {
        socket.listen(BACKLOG).or_else(|error| {
            // What a dead server left on the port only yields to a socket that may share it.
            if error.kind() != std::io::ErrorKind::AddrInUse {
                return Err(error);
            }
            socket.set_reuse_address(true)?;
            socket.listen(BACKLOG)
        })?;
        // Set once it listens, when it lets nobody in any more: connections that are accepted now
        // must not block the port after this server's death.
        socket.set_reuse_address(true)
    };
    again().map_err(Error::io("listen"))?;
    Ok(socket.into())
}

fn of_host(host: Host, port: Port, origin: Origin) -> Result<Vec<Member>, Error> {
    let mut members: Vec<Member> = Vec::with_capacity(2);
    for (address, stack) in addresses(host) {
        match bind_one(address, stack, host, port, origin, &members) {
            Ok(socket) => members.push(Member { address, socket }),
            Err(error)
                if address.is_ipv6() && address != host.address() && without_ipv6(&error) =>
            {
                debug!(%address, "left out: there is no IPv6");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(members)
}

/// What has to be bound so that nobody binds an address of the host: a wildcard keeps out all
/// narrower addresses of its family, and 0.0.0.0 needs `[::]` beside it to keep out dual-stack
/// servers that would take IPv4 as well.
fn addresses(host: Host) -> Vec<(IpAddr, Stack)> {
    let everything = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let mut addresses: Vec<_> = host
        .addresses()
        .into_iter()
        .map(|address| (address, Stack::Single))
        .collect();
    match host.address() {
        address if address == everything => addresses[0].1 = Stack::Dual,
        IpAddr::V4(address) if address.is_unspecified() => {
            addresses.push((everything, Stack::Single));
        }
        _ => {}
    }
    addresses
}

fn without_ipv6(error: &Error) -> bool {
    match error {
        Error::NotLocal { .. } => true,
        Error::Io { source, .. } => probe::no_ipv6(source),
        _ => false,
    }
}

fn bind_one(
    address: IpAddr,
    stack: Stack,
    host: Host,
    port: Port,
    origin: Origin,
    ours: &[Member],
) -> Result<Socket, Error> {
    let open = || probe::open(address, stack).map_err(Error::io("open a socket"));
    let socket = open()?;
    match probe::bind(&socket, address, port).map_err(|error| Error::of_bind(error, host, port)) {
        Err(Error::Busy { .. }) if origin == Origin::Number => {
            bind_over_leftovers(open()?, address, port, ours)
        }
        bound => bound.map(|()| socket),
    }
}

/// Binds a port on which, it seems, only connections of a dead server linger: with `SO_REUSEADDR`
/// such a bind succeeds, and without it again nobody else gets in.
fn bind_over_leftovers(
    socket: Socket,
    address: IpAddr,
    port: Port,
    ours: &[Member],
) -> Result<Socket, Error> {
    let busy = |_| Error::Busy { port };
    socket
        .set_reuse_address(true)
        .map_err(Error::io("set SO_REUSEADDR"))?;
    probe::bind(&socket, address, port).map_err(busy)?;
    let known = ours.iter().map(|member| &member.socket).chain([&socket]);
    if strangers_on(port, known) {
        return Err(Error::Busy { port });
    }
    socket
        .set_reuse_address(false)
        .map_err(Error::io("clear SO_REUSEADDR"))?;
    debug!(%port, %address, "taken over what a dead server left");
    Ok(socket)
}

/// Whether sockets that are not `ours` are bound to the port or listen on it: one that was bound
/// with `SO_REUSEADDR` and does not listen yet is a server about to start. Where the kernel does
/// not tell (before Linux 6.8, or in a sandbox) there are none.
fn strangers_on<'s>(port: Port, ours: impl Iterator<Item = &'s Socket>) -> bool {
    let inode = |socket| rustix::fs::fstat(socket).map(|stat| stat.st_ino).ok();
    let ours: Vec<u64> = ours.filter_map(inode).collect();
    let families = [AddressFamily::INET, AddressFamily::INET6];
    let found = sockets::list(&families, States::LISTENING | States::BOUND, Some(port));
    match found {
        Ok(found) => found.iter().any(|socket| !ours.contains(&socket.inode)),
        Err(error) => {
            debug!(%error, "the kernel does not list sockets");
            false
        }
    }
}

#[cfg(test)]
mod tests;
