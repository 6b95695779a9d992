//! Sockets of an address that a server asked for, made behind the back of a hold that keeps
//! everybody else out: the hold never lets go, and nobody gets a wider address than it asked for.
//!
//! Two sockets of one port do not get in each other's way when each is bound to another network
//! interface. A held socket that is *hidden*, which means bound to an interface that does not exist,
//! still excludes every socket that is bound to none. So a server's own socket
//! - of a loopback address is bound to the interface `lo`, where it belongs anyway;
//! - of any other address is bound to a second interface that does not exist, and freed from it when
//!   it listens, which excludes everybody else by itself. That needs `CAP_NET_RAW`;
//! - of a wildcard address, without that privilege, gives way to the held socket of that very
//!   address, after the wider ones have been closed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};

use socket2::Socket;

use super::{Hold, Member, everywhere};
use crate::probe::{self, Stack};
use crate::{Transport, sys};

/// The number of `lo`, the same in every network namespace.
const LOOPBACK: u32 = 1;

/// The number of an interface that does not exist, for sockets that will listen.
const WAITING: u32 = 0x7ff0_0009;

/// The same for held sockets.
const HIDDEN: u32 = 0x7ff0_0001;

/// How a socket was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// It is bound.
    Bound,
    /// It is bound, and has to be freed ([`open`]) once it listens.
    Waiting,
    /// The held socket of this number, which is bound to the very address, is to take its place.
    Instead(usize),
}

/// Whether this process may free a socket from an interface.
pub(crate) fn may_free() -> bool {
    let tried = probe::open(
        Transport::Tcp,
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        Stack::Single,
    )
    .and_then(|socket| {
        sys::bind_to_interface(&socket, LOOPBACK)?;
        sys::bind_to_interface(&socket, 0)
    });
    tried.is_ok()
}

/// Whether clients have to be on this machine to reach an address.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Frees a socket that listens now from the interface that it waited on.
pub(crate) fn open(socket: &Socket) -> io::Result<()> {
    match sys::interface_of(socket)? {
        WAITING => sys::bind_to_interface(socket, 0),
        _ => Ok(()),
    }
}

fn in_use() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::ADDRINUSE.raw_os_error())
}

impl Hold {
    /// Lets a socket that is not bound yet have its address, or says which held one is to take its
    /// place. `may_free` is what [`may_free`] said.
    pub(crate) fn admit(
        &mut self,
        transport: Transport,
        socket: &Socket,
        address: SocketAddr,
        may_free: bool,
    ) -> io::Result<Admitted> {
        let bind = |socket: &Socket| socket.bind(&address.into());
        if is_loopback(address.ip()) {
            self.hide(transport)?;
            sys::bind_to_interface(socket, LOOPBACK)?;
            return bind(socket).map(|()| Admitted::Bound);
        }
        if may_free {
            self.hide(transport)?;
            sys::bind_to_interface(socket, WAITING)?;
            bind(socket)?;
            return match transport {
                Transport::Tcp => Ok(Admitted::Waiting),
                // There is nothing to wait for: a bound socket receives.
                Transport::Udp => open(socket).map(|()| Admitted::Bound),
            };
        }
        if !address.ip().is_unspecified() {
            return Err(in_use());
        }
        let is_dual = address.is_ipv6() && !socket.only_v6()?;
        match transport {
            Transport::Tcp => self.give(address.ip(), is_dual).map(Admitted::Instead),
            Transport::Udp => {
                self.slip_in(socket, address)?;
                Ok(Admitted::Bound)
            }
        }
    }

    /// The held socket of exactly this wildcard, for a program to have. Those that overlap it are
    /// closed, because only one of them can listen.
    fn give(&mut self, wildcard: IpAddr, is_dual: bool) -> io::Result<usize> {
        let is_it = |member: &Member| {
            member.transport == Transport::Tcp
                && member.address == wildcard
                && (member.address.is_ipv4() || member.is_dual() == is_dual)
        };
        let is_usable = |members: &[Member]| members.iter().any(|it| is_it(it) && !it.is_hidden());
        if !is_usable(&self.members) {
            self.renew()?;
        }
        let overlaps = |member: &Member| {
            member.transport == Transport::Tcp
                && !is_it(member)
                && (is_dual || (member.address.is_ipv6() && member.is_dual()))
        };
        if !self.members.iter().any(is_it) {
            return Err(in_use());
        }
        self.members.retain(|member| !overlaps(member));
        self.members.iter().position(is_it).ok_or_else(in_use)
    }

    /// Takes the port anew on every address, behind the sockets that hold it still: those that are
    /// hidden can't be used, and others may have been closed.
    fn renew(&mut self) -> io::Result<()> {
        if self
            .members
            .iter()
            .any(|it| it.transport == Transport::Tcp && !it.address.is_unspecified())
        {
            // Only the host's own addresses were to be had.
            return Err(in_use());
        }
        self.share(true).map_err(io::Error::other)?;
        let renewed = everywhere::join(self.port);
        self.share(false).map_err(io::Error::other)?;
        let mut renewed = renewed?;
        self.members
            .retain(|member| member.transport != Transport::Tcp);
        // Only now: its listening kept everybody out while the old ones were closed.
        renewed[0].socket.shutdown(Shutdown::Read)?;
        self.members.append(&mut renewed);
        Ok(())
    }

    /// Binds a socket in a moment in which the port is shared, and makes sure that nobody else has.
    fn slip_in(&mut self, socket: &Socket, address: SocketAddr) -> io::Result<()> {
        let shared = socket.reuse_address()?;
        socket.set_reuse_address(true)?;
        self.share(true).map_err(io::Error::other)?;
        let bound = socket.bind(&address.into());
        let closed = self.share(false).map_err(io::Error::other);
        socket.set_reuse_address(false)?;
        bound.and(closed)?;
        let ours = self
            .members
            .iter()
            .map(|member| &member.socket)
            .chain([socket]);
        let alone = !super::strangers_on(Transport::Udp, self.port, ours);
        socket.set_reuse_address(shared)?;
        if alone { Ok(()) } else { Err(in_use()) }
    }

    /// Hides the held sockets, once. They go on keeping everybody out who is bound to no interface.
    pub(crate) fn hide(&mut self, transport: Transport) -> io::Result<()> {
        let members = self.members.iter().filter(|it| it.transport == transport);
        for (number, member) in (HIDDEN..).zip(members) {
            if !member.is_hidden() {
                sys::bind_to_interface(&member.socket, number)?;
            }
        }
        Ok(())
    }

    /// Takes back a held socket that was given away and that nobody has any more: it does not
    /// listen, and lets nobody in.
    pub(crate) fn take_back(&self, member: usize) -> io::Result<()> {
        let Some(member) = self.members.get(member) else {
            return Ok(());
        };
        member.socket.set_reuse_address(false)?;
        match member.socket.shutdown(Shutdown::Read) {
            // It never listened.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        }
    }

    /// A socket of this address for a server in this very process.
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
        let at = SocketAddr::new(address, self.port.number());
        match self.admit(transport, &socket, at, may_free())? {
            Admitted::Bound | Admitted::Waiting => {
                let copy = socket.try_clone()?;
                self.members.push(Member {
                    transport,
                    address,
                    socket,
                });
                Ok(copy)
            }
            Admitted::Instead(member) => self.members[member].socket.try_clone(),
        }
    }
}

impl Member {
    pub(super) fn is_dual(&self) -> bool {
        self.address.is_ipv6() && self.socket.only_v6().is_ok_and(|only| !only)
    }

    pub(super) fn is_hidden(&self) -> bool {
        sys::interface_of(&self.socket).is_ok_and(|interface| interface >= HIDDEN)
    }
}
