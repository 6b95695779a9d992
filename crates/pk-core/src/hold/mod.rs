//! A hold: sockets that are bound to a port and do not listen, so that nobody else gets it. Never
//! accepts a connection, never reads a datagram, and never gives a program a wider address than it
//! asked for.
//!
//! All of them are bound without `SO_REUSEADDR`, because with it every server that sets the option
//! (and all do) could bind the port as well. See ip(7) and `docs/design` for what was measured.

pub(crate) mod behind;
mod datagrams;
mod everywhere;
pub(crate) mod exact;

use std::io;
use std::net::{IpAddr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::AddressFamily;
use socket2::Socket;
use tracing::debug;

use crate::probe::{self, Stack};
use crate::sockets::{self, States};
use crate::{Error, Host, Origin, Port, Protocol, Transport};

/// Which addresses a hold keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// Those that the host stands for. Keeps out servers on wildcard addresses too, and can become
    /// a server's socket of exactly that host.
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
    protocol: Protocol,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    transport: Transport,
    address: IpAddr,
    socket: Socket,
}

/// The number of clients that may wait to be accepted.
const BACKLOG: i32 = 1024;

impl Hold {
    /// Takes `port`, for both protocols or not at all. One that was asked for by number is had even
    /// when connections of a dead server linger on it (`TIME_WAIT`): they hinder nobody who sets
    /// `SO_REUSEADDR`, as servers do.
    ///
    /// Clients of a held port are refused at once. There is one exception: where the host is itself
    /// a wildcard, what is sent to a held UDP port waits for the server that will get the socket.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Denied`], [`Error::NotLocal`], [`Error::Io`].
    pub fn acquire(
        host: Host,
        port: Port,
        protocol: Protocol,
        coverage: Coverage,
        origin: Origin,
    ) -> Result<Hold, Error> {
        let mut members = Vec::new();
        for &transport in protocol.transports() {
            let everywhere = || match transport {
                Transport::Tcp => everywhere::acquire(host, port, origin),
                Transport::Udp => datagrams::acquire_everywhere(host, port),
            };
            members.extend(match coverage {
                Coverage::Host => of_host(host, port, transport, origin)?,
                Coverage::Everywhere => match everywhere() {
                    Err(Error::Busy { .. }) if origin == Origin::Number => {
                        debug!(%port, %transport, "not free everywhere, holding the host's addresses");
                        of_host(host, port, transport, origin)?
                    }
                    members => members?,
                },
            });
        }
        Ok(Hold {
            host,
            port,
            protocol,
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

    /// The protocol that it was taken for.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// A TCP socket of exactly the host's address, listening: the held one, or one that is made
    /// behind the hold where that is wider. The port is at no moment free. The hold is closed.
    ///
    /// # Errors
    /// [`Error::Wider`] where no socket of just this address can be had, [`Error::OtherProtocol`]
    /// for a hold of UDP alone, [`Error::Io`].
    pub fn into_listener(mut self) -> Result<TcpListener, Error> {
        self.listener()
    }

    /// Like [`Hold::into_listener`]; the hold goes on keeping the other addresses, and with a copy
    /// this one.
    ///
    /// # Errors
    /// As there.
    pub fn listener(&mut self) -> Result<TcpListener, Error> {
        listen(self.own(Transport::Tcp)?)
    }

    /// A UDP socket of exactly the host's address, receiving: the held one, or one that is made
    /// behind the hold where that is wider. The port is at no moment free. The hold is closed.
    ///
    /// # Errors
    /// [`Error::Wider`] where no socket of just this address can be had, [`Error::OtherProtocol`]
    /// for a hold of TCP alone, [`Error::Io`].
    pub fn into_udp_socket(mut self) -> Result<UdpSocket, Error> {
        self.udp_socket()
    }

    /// Like [`Hold::into_udp_socket`]; the hold goes on keeping the other addresses. What is sent to
    /// the port from now on waits for whoever reads it, even when this copy is closed.
    ///
    /// # Errors
    /// As there.
    pub fn udp_socket(&mut self) -> Result<UdpSocket, Error> {
        datagrams::receive(self.own(Transport::Udp)?)
    }

    /// The sockets.
    #[must_use]
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.members.iter().map(|it| it.socket.as_fd()).collect()
    }

    /// A hold of sockets that another process held and passed on.
    ///
    /// # Errors
    /// [`Error::Io`] for what is no socket that is bound to the port.
    pub fn from_descriptors(
        host: Host,
        port: Port,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Hold, Error> {
        let foreign = Error::io("take over a socket");
        let member = |descriptor: OwnedFd| -> io::Result<Member> {
            let socket = Socket::from(descriptor);
            let other = || io::Error::from(io::ErrorKind::InvalidInput);
            let transport = match socket.r#type()? {
                socket2::Type::STREAM => Transport::Tcp,
                socket2::Type::DGRAM => Transport::Udp,
                _ => return Err(other()),
            };
            let address = socket.local_addr()?.as_socket().ok_or_else(other)?;
            if address.port() != port.number() {
                return Err(other());
            }
            Ok(Member {
                transport,
                address: address.ip(),
                socket,
            })
        };
        let members: Vec<Member> = descriptors
            .into_iter()
            .map(member)
            .collect::<io::Result<_>>()
            .map_err(&foreign)?;
        let has = |transport| members.iter().any(|it| it.transport == transport);
        let protocol = match (has(Transport::Tcp), has(Transport::Udp)) {
            (true, true) => Protocol::Both,
            (false, true) => Protocol::Udp,
            (true, false) => Protocol::Tcp,
            (false, false) => return Err(foreign(io::ErrorKind::InvalidInput.into())),
        };
        Ok(Hold {
            host,
            port,
            protocol,
            members,
        })
    }

    /// The sockets, to be passed to the process that goes on holding.
    #[must_use]
    pub fn into_descriptors(self) -> Vec<OwnedFd> {
        self.members
            .into_iter()
            .map(|member| member.socket.into())
            .collect()
    }

    pub(crate) fn share(&self, on: bool) -> Result<(), Error> {
        self.members
            .iter()
            .try_for_each(|member| member.socket.set_reuse_address(on))
            .map_err(Error::io("set SO_REUSEADDR"))
    }

    /// A socket of the host's own address and of this protocol.
    fn own(&mut self, transport: Transport) -> Result<Socket, Error> {
        let (port, host) = (self.port, self.host);
        if !self.protocol.transports().contains(&transport) {
            return Err(Error::OtherProtocol {
                port,
                protocol: self.protocol,
                wanted: transport,
            });
        }
        let address = host.address();
        // A held one, unless another that is held too would keep it from listening.
        let visible = |it: &&Member| it.transport == transport && !it.is_hidden();
        let mut same = self.members.iter().filter(visible);
        let is_covered = address.is_unspecified()
            && same.clone().count() > 1
            && same.clone().any(Member::is_dual);
        let own = same.find(|it| it.address == address && !is_covered);
        if let Some(member) = own {
            return member
                .socket
                .try_clone()
                .map_err(Error::io("copy a socket"));
        }
        self.own_socket(transport, address)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::Unsupported => {
                    Error::Wider { port, host }
                }
                _ => Error::io("make a socket behind a hold")(error),
            })
    }
}

fn listen(socket: Socket) -> Result<TcpListener, Error> {
    let again = || -> io::Result<()> {
        behind::listen(&socket, BACKLOG).or_else(|error| {
            // What a dead server left on the port only yields to a socket that may share it.
            if !behind::is_in_use(&error) {
                return Err(error);
            }
            socket.set_reuse_address(true)?;
            behind::listen(&socket, BACKLOG)
        })?;
        // Set once it listens, when it lets nobody in any more: connections that are accepted now
        // must not block the port after this server's death.
        socket.set_reuse_address(true)
    };
    again().map_err(Error::io("listen"))?;
    Ok(socket.into())
}

fn of_host(
    host: Host,
    port: Port,
    transport: Transport,
    origin: Origin,
) -> Result<Vec<Member>, Error> {
    let mut members: Vec<Member> = Vec::with_capacity(2);
    for (address, stack) in addresses(host) {
        let bound = match transport {
            Transport::Tcp => bind_one(address, stack, host, port, origin, &members),
            Transport::Udp => datagrams::bind_one(address, stack, host, port),
        };
        match bound {
            Ok(socket) => {
                crate::failpoint!("hold.host-bound");
                members.push(Member {
                    transport,
                    address,
                    socket,
                });
            }
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
    let open = || probe::open(Transport::Tcp, address, stack).map_err(Error::io("open a socket"));
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
    if strangers_on(Transport::Tcp, port, known) {
        return Err(Error::Busy { port });
    }
    socket
        .set_reuse_address(false)
        .map_err(Error::io("clear SO_REUSEADDR"))?;
    debug!(%port, %address, "taken over what a dead server left");
    Ok(socket)
}

/// Whether sockets that are not `ours` are bound to the port or listen on it: one that was bound
/// with `SO_REUSEADDR` and does not listen yet is a server about to start.
fn strangers_on<'s>(
    transport: Transport,
    port: Port,
    ours: impl Iterator<Item = &'s Socket>,
) -> bool {
    let inode = |socket| rustix::fs::fstat(socket).map(|stat| stat.st_ino).ok();
    let ours: Vec<u64> = ours.filter_map(inode).collect();
    let found = bound_to(transport, port);
    found.iter().any(|inode| !ours.contains(inode))
}

/// The numbers of the sockets that are bound to the port. Where the kernel does not tell (TCP before
/// Linux 6.8, or in a sandbox) there are none.
fn bound_to(transport: Transport, port: Port) -> Vec<u64> {
    let families = [AddressFamily::INET, AddressFamily::INET6];
    let states = match transport {
        Transport::Tcp => States::LISTENING | States::BOUND,
        Transport::Udp => States::RECEIVING,
    };
    let found = sockets::list(transport, &families, states, Some(port));
    let found = found.inspect_err(|error| debug!(%error, "the kernel does not list sockets"));
    let sockets = found.unwrap_or_default().into_iter();
    sockets.map(|socket| socket.inode).collect()
}

#[cfg(test)]
mod tests;
