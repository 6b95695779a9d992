//! A program binds a held port: its own socket is let in behind the hold, or another takes its place.
//! Never closes the hold.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};
use tracing::debug;

use super::adopter::{process, refuse};
use super::servers::{Place, Stand, Wish};
use super::{Adopter, Event, descriptor, options};
use crate::hold::behind::{Admitted, in_use, is_in_use};
use crate::probe::{self, Stack};
use crate::sys::notification::{self, Notification, Reply};
use crate::{Transport, sys};

impl Adopter {
    pub(super) fn bind(
        &mut self,
        call: &Notification,
        number: i32,
        address: SocketAddr,
    ) -> (Reply, Event) {
        let untouched = (Reply::GoOn, Event::Passed);
        let port = address.port();
        let Some(hold) = self.holds.iter().position(|it| it.port().number() == port) else {
            return untouched;
        };
        let socket = match notification::descriptor(call.thread, number) {
            Ok(socket) => Some(Socket::from(socket)),
            // A sandbox that forbids to copy descriptors allows to replace them.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            Err(_) => return untouched,
        };
        // Only now it is known that what was read and copied is that of the process that waits.
        if !self.is_waiting(call) {
            return untouched;
        }
        let transport = match &socket {
            Some(socket) if self.is_elsewhere(socket) => None,
            Some(socket) => transport(socket, address),
            None => descriptor::transport(call.thread, number, address),
        };
        let Some(transport) =
            transport.filter(|it| self.holds[hold].protocol().transports().contains(it))
        else {
            return untouched;
        };
        let pid = process(call.thread);
        let wish = Wish {
            place: Place {
                process: pid,
                descriptor: number,
            },
            transport,
            address,
            shares: socket
                .as_ref()
                .is_some_and(|socket| socket.reuse_port().unwrap_or(false)),
        };
        let bound = match &socket {
            Some(socket) => match local_port(socket) {
                Some(0) => self.let_in(call, hold, wish, socket),
                // A call that a signal has interrupted comes again.
                Some(bound) if bound == port => Ok(()),
                _ => return untouched,
            },
            None => self.put_in(call, hold, wish),
        };
        let (port, address) = (self.holds[hold].port(), address.ip());
        match bound {
            Ok(()) => {
                debug!(pid, %port, %address, %transport, "bound from behind the hold");
                let event = Event::Bound {
                    pid,
                    port,
                    address,
                    transport,
                };
                (Reply::Done, event)
            }
            Err(why) => refuse(pid, port, address, why),
        }
    }

    /// Binds a program's own socket, or puts a held one in its place.
    fn let_in(
        &mut self,
        call: &Notification,
        hold: usize,
        wish: Wish,
        socket: &Socket,
    ) -> io::Result<()> {
        // Those of the tree that share would let in one that does not, where it has to slip in.
        if !wish.shares && !self.servers.willing(&wish).is_empty() {
            return Err(in_use());
        }
        // With SO_REUSEPORT every process of this user could join, also one that is none of the
        // tree's. It is only given back when the tree itself wants to share.
        if wish.shares {
            socket.set_reuse_port(false)?;
        }
        let done = match self.admit(call, hold, wish, socket) {
            Err(error) if wish.shares && is_in_use(&error) => self.join(hold, wish, socket),
            done => done,
        };
        if wish.shares && done.is_err() {
            socket.set_reuse_port(true)?;
        }
        done
    }

    fn admit(
        &mut self,
        call: &Notification,
        hold: usize,
        wish: Wish,
        socket: &Socket,
    ) -> io::Result<()> {
        // What is in its way may be a held socket whose server has just gone.
        if self.servers.are_given() {
            self.servers.look();
        }
        match self.holds[hold].admit(wish.transport, socket, wish.address, self.may_free)? {
            Admitted::Bound => self.servers.note(wish, socket, None),
            Admitted::Instead(held) => {
                if self.servers.is_given(&held)? {
                    return Err(in_use());
                }
                options::copy(socket, &held);
                self.put(call, wish, &held)?;
                let copy = held.try_clone()?;
                self.servers.note(wish, &copy, Some(Stand::Held(held)))
            }
        }
    }

    /// Lets a socket have the same address as others of the tree that agree.
    fn join(&mut self, hold: usize, wish: Wish, socket: &Socket) -> io::Result<()> {
        let others = self.servers.willing(&wish);
        if others.is_empty() {
            return Err(in_use());
        }
        for other in others.iter().chain([socket]) {
            other.set_reuse_port(true)?;
        }
        match self.holds[hold].admit(wish.transport, socket, wish.address, self.may_free)? {
            Admitted::Bound => {}
            // It is one of the others.
            Admitted::Instead(_) => socket.bind(&wish.address.into())?,
        }
        self.servers.note(wish, socket, None)
    }

    /// Puts a socket in the place of a program's own that can't be had. Whether the program's takes
    /// IPv4 as well can't be seen either: most do, unless IPv4 has one of its own.
    fn put_in(&mut self, call: &Notification, hold: usize, wish: Wish) -> io::Result<()> {
        let stack = match self.servers.has(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) {
            true => Stack::Single,
            false => Stack::Dual,
        };
        let made = probe::open(wish.transport, wish.address.ip(), stack)?;
        // As servers do; it is behind the hold.
        made.set_reuse_address(wish.transport == Transport::Tcp)?;
        match self.holds[hold].admit(wish.transport, &made, wish.address, self.may_free)? {
            Admitted::Bound => {
                self.put(call, wish, &made)?;
                let copy = made.try_clone()?;
                self.servers.note(wish, &copy, Some(Stand::Made(made)))
            }
            Admitted::Instead(held) => {
                if self.servers.is_given(&held)? {
                    return Err(in_use());
                }
                self.put(call, wish, &held)?;
                let copy = held.try_clone()?;
                self.servers.note(wish, &copy, Some(Stand::Held(held)))
            }
        }
    }

    /// Replaces a program's socket.
    fn put(&self, call: &Notification, wish: Wish, socket: &Socket) -> io::Result<()> {
        let flags = descriptor::flags(call.thread, wish.place.descriptor)?;
        socket.set_nonblocking(flags.is_nonblocking)?;
        let number = wish.place.descriptor.cast_unsigned();
        let closes = flags.closes_on_exec;
        notification::replace(&self.listener, call.id, number, socket, closes)
    }
}

/// What a socket speaks, if it can be bound to this address at all.
fn transport(socket: &Socket, address: SocketAddr) -> Option<Transport> {
    /// Several paths for one connection (RFC 8684), which Go's servers ask for.
    const MULTIPATH_TCP: i32 = 262;
    let domain = match address {
        SocketAddr::V4(_) => Domain::IPV4,
        SocketAddr::V6(_) => Domain::IPV6,
    };
    if socket.domain().ok()? != domain {
        return None;
    }
    let protocol = sys::protocol_of(socket).ok()?;
    let is = |known: socket2::Protocol| protocol == i32::from(known);
    match socket.r#type().ok()? {
        Type::STREAM if is(socket2::Protocol::TCP) || protocol == MULTIPATH_TCP => {
            Some(Transport::Tcp)
        }
        Type::DGRAM if is(socket2::Protocol::UDP) => Some(Transport::Udp),
        _ => None,
    }
}

/// 0 for a socket that is not bound; `None` where that can't be told.
fn local_port(socket: &Socket) -> Option<u16> {
    Some(socket.local_addr().ok()?.as_socket()?.port())
}
