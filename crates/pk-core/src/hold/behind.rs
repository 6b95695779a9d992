//! Sockets of an address that a server asked for, made behind the back of a hold that keeps
//! everybody else out: the hold never lets go, and nobody gets a wider address than it asked for.
//!
//! Two sockets of one port do not get in each other's way when each is bound to another network
//! interface. A held socket that is *hidden*, which means bound to an interface that does not exist,
//! still excludes every socket that is bound to none. So a server's own socket
//! - of a loopback address is bound to the interface `lo`, where it belongs anyway;
//! - of any other address is bound to a second interface that does not exist, and freed from it when
//!   it listens, which excludes everybody else by itself. That needs `CAP_NET_RAW`;
//! - of a wildcard address, without that privilege, gives way to a held one ([`super::exact`]).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use socket2::Socket;

use super::{Hold, Member};
use crate::probe::{self, Stack};
use crate::{Transport, sys};

/// The number of `lo`, the same in every network namespace.
const LOOPBACK: u32 = 1;

/// The number of an interface that does not exist, for sockets that will listen.
const WAITING: u32 = 0x7ff0_0009;

/// The first of such numbers for held sockets.
const HIDDEN: u32 = 0x7ff0_0001;

/// How a socket was let in.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// It is bound. When it is to listen, [`listen`] makes it.
    Bound,
    /// This copy of the held socket that is bound to the very address is to take its place.
    Instead(Socket),
}

/// Whether this process may free a socket from an interface.
pub(crate) fn may_free() -> bool {
    let tried = || -> io::Result<()> {
        let socket = probe::open(
            Transport::Tcp,
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            Stack::Single,
        )?;
        sys::bind_to_interface(&socket, LOOPBACK)?;
        sys::bind_to_interface(&socket, 0)
    };
    tried().is_ok()
}

/// Makes a socket listen that [`Hold::admit`] let in, and frees it from the interface that it waited
/// on: it excludes everybody else by itself now.
pub(crate) fn listen(socket: &Socket, backlog: i32) -> io::Result<()> {
    if sys::interface_of(socket)? != WAITING {
        return socket.listen(backlog);
    }
    // The kernel deals clients out among those that share an address only where they were on the
    // same interface when they began to listen, and the first is on none by now. It lets a further
    // one of the same user pass without a look at the hold.
    if socket.reuse_port()? {
        sys::bind_to_interface(socket, 0)?;
        match socket.listen(backlog) {
            Err(error) if is_in_use(&error) => sys::bind_to_interface(socket, WAITING)?,
            done => return done,
        }
    }
    socket.listen(backlog)?;
    sys::bind_to_interface(socket, 0)
}

pub(crate) fn is_in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

pub(crate) fn in_use() -> io::Error {
    io::Error::from_raw_os_error(Errno::ADDRINUSE.raw_os_error())
}

impl Hold {
    /// Lets a socket that is not bound yet have its address, or says which held one is to take its
    /// place. One that can't have it is left as it was. `may_free` is what [`may_free`] said.
    pub(crate) fn admit(
        &mut self,
        transport: Transport,
        socket: &Socket,
        address: SocketAddr,
        may_free: bool,
    ) -> io::Result<Admitted> {
        // Whoever has chosen an interface by itself is behind the hold already, and stays there.
        if sys::interface_of(socket)? != 0 {
            self.hide(transport)?;
            return socket.bind(&address.into()).map(|()| Admitted::Bound);
        }
        let ip = address.ip();
        if ip.to_canonical().is_loopback() {
            self.hide(transport)?;
            if !may_free {
                rehearse(transport, socket, address)?;
            }
            bind_at(socket, LOOPBACK, address)?;
            return Ok(Admitted::Bound);
        }
        if may_free {
            self.hide(transport)?;
            bind_at(socket, WAITING, address)?;
            if transport == Transport::Udp {
                // It does not wait: it receives as soon as it is bound.
                sys::bind_to_interface(socket, 0)?;
            }
            return Ok(Admitted::Bound);
        }
        if !ip.is_unspecified() {
            return Err(in_use());
        }
        match transport {
            Transport::Tcp => {
                let is_dual = ip.is_ipv6() && !socket.only_v6()?;
                self.give(ip, is_dual).map(Admitted::Instead)
            }
            Transport::Udp => self.slip_in(socket, address).map(|()| Admitted::Bound),
        }
    }

    /// A socket of this address for a server in this very process. The hold keeps a copy.
    pub(super) fn own_socket(
        &mut self,
        transport: Transport,
        address: IpAddr,
    ) -> io::Result<Socket> {
        let stack = match address {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Stack::Dual,
            _ => Stack::Single,
        };
        let socket = probe::open(transport, address, stack)?;
        // As servers do, so that what a dead one left is not in the way. Behind a hold nobody else
        // can make use of it; with UDP nothing is left.
        socket.set_reuse_address(transport == Transport::Tcp)?;
        let at = SocketAddr::new(address, self.port.number());
        match self.admit(transport, &socket, at, may_free())? {
            Admitted::Bound => {
                let copy = socket.try_clone()?;
                self.members.push(Member {
                    transport,
                    address,
                    socket,
                });
                Ok(copy)
            }
            Admitted::Instead(held) => Ok(held),
        }
    }

    /// Hides the held sockets, once. They go on keeping everybody out who is bound to no interface.
    fn hide(&self, transport: Transport) -> io::Result<()> {
        for (number, member) in (HIDDEN..).zip(self.of(transport)) {
            if sys::interface_of(&member.socket)? == 0 {
                // A server has it, which nobody could reach any more.
                if member.socket.is_listener().unwrap_or(false) {
                    return Err(in_use());
                }
                sys::bind_to_interface(&member.socket, number)?;
            }
        }
        Ok(())
    }
}

impl Member {
    pub(super) fn is_hidden(&self) -> bool {
        sys::interface_of(&self.socket).is_ok_and(|interface| interface >= HIDDEN)
    }

    pub(super) fn is_dual(&self) -> bool {
        self.address.is_ipv6() && self.socket.only_v6().is_ok_and(|only| !only)
    }
}

/// Binds a socket to an interface and an address, or leaves it as it was, as far as this process may.
fn bind_at(socket: &Socket, interface: u32, address: SocketAddr) -> io::Result<()> {
    sys::bind_to_interface(socket, interface)?;
    socket.bind(&address.into()).inspect_err(|_| {
        let freed = sys::bind_to_interface(socket, 0);
        tracing::trace!(?freed, "could not be bound");
    })
}

/// Tries with a socket of ours whether the address can be had, because one that was bound to an
/// interface in vain can't be freed from it without privilege.
fn rehearse(transport: Transport, socket: &Socket, address: SocketAddr) -> io::Result<()> {
    let stack = match address.is_ipv6() && !socket.only_v6()? {
        true => Stack::Dual,
        false => Stack::Single,
    };
    let double = probe::open(transport, address.ip(), stack)?;
    double.set_reuse_address(socket.reuse_address()?)?;
    double.set_reuse_port(socket.reuse_port()?)?;
    bind_at(&double, LOOPBACK, address)
}
