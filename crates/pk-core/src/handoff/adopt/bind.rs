//! A program binds a held port: its own socket is let in behind the hold, or another takes its place.
//! Never closes the hold.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use tracing::debug;

use super::{Adopter, Event, Given, Known, Place, Source, descriptor, in_use, process};
use crate::hold::behind::Admitted;
use crate::probe::{self, Stack};
use crate::sys::notification::{self, Notification, Reply};
use crate::{Transport, sys};

impl Adopter {
    pub(super) fn bind(
        &mut self,
        call: &Notification,
        descriptor: i32,
        address: SocketAddr,
    ) -> (Reply, Event) {
        let untouched = (Reply::GoOn, Event::Passed);
        let port = address.port();
        let Some(hold) = self.holds.iter().position(|it| it.port().number() == port) else {
            return untouched;
        };
        let place = Place {
            thread: call.thread,
            descriptor,
        };
        let socket = match notification::descriptor(call.thread, descriptor) {
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
            Some(socket) => transport(socket, address),
            None => Some(Transport::Tcp),
        };
        let Some(transport) =
            transport.filter(|it| self.holds[hold].protocol().transports().contains(it))
        else {
            return untouched;
        };
        let bound = match &socket {
            Some(socket) if local_port(socket) == Some(port) => Ok(()),
            Some(socket) if local_port(socket) != Some(0) => return untouched,
            Some(socket) => self.let_in(call, place, hold, transport, socket, address),
            None => self.put_in(call, place, hold, address),
        };
        let pid = process(call.thread);
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
            Err(why) => {
                let number = why
                    .raw_os_error()
                    .unwrap_or(Errno::ADDRINUSE.raw_os_error());
                let event = Event::Refused {
                    pid,
                    port,
                    address,
                    why,
                };
                (Reply::Failed(number), event)
            }
        }
    }

    /// Binds a program's own socket, or puts a held one in its place.
    fn let_in(
        &mut self,
        call: &Notification,
        place: Place,
        hold: usize,
        transport: Transport,
        socket: &Socket,
        address: SocketAddr,
    ) -> io::Result<()> {
        // With SO_REUSEPORT every process of this user could join, also one that is none of the
        // tree's. It is only given back when the tree itself wants to share.
        let shares = socket.reuse_port()?;
        if shares {
            socket.set_reuse_port(false)?;
        }
        let admitted = match self.holds[hold].admit(transport, socket, address, self.may_free) {
            Err(error) if shares && error.kind() == io::ErrorKind::AddrInUse => {
                self.share(socket, address)?;
                Admitted::Bound
            }
            admitted => admitted?,
        };
        match admitted {
            Admitted::Bound | Admitted::Waiting => {
                let cookie = rustix::net::sockopt::socket_cookie(socket)?;
                self.known
                    .retain(|known| known.address != address || known.is_there());
                self.known.push(Known {
                    place,
                    cookie,
                    address,
                });
                Ok(())
            }
            Admitted::Instead(member) => {
                let held = self.holds[hold]
                    .socket(member)
                    .ok_or_else(in_use)?
                    .try_clone()?;
                descriptor::copy_options(socket, &held);
                self.hand_out(call, place, hold, Source::Held(member), &held)
            }
        }
    }

    /// Puts a socket in the place of a program's own that can't be had. Whether the program's takes
    /// IPv4 as well can't be seen either: most do.
    fn put_in(
        &mut self,
        call: &Notification,
        place: Place,
        hold: usize,
        address: SocketAddr,
    ) -> io::Result<()> {
        let has_four = |known: &Known| known.address.ip() == IpAddr::from([0, 0, 0, 0]);
        let stack = match self.known.iter().any(has_four) {
            true => Stack::Single,
            false => Stack::Dual,
        };
        let socket = probe::open(Transport::Tcp, address.ip(), stack)?;
        match self.holds[hold].admit(Transport::Tcp, &socket, address, self.may_free)? {
            Admitted::Instead(member) => {
                let held = self.holds[hold]
                    .socket(member)
                    .ok_or_else(in_use)?
                    .try_clone()?;
                self.hand_out(call, place, hold, Source::Held(member), &held)
            }
            Admitted::Bound | Admitted::Waiting => {
                let copy = socket.try_clone()?;
                self.hand_out(call, place, hold, Source::Made(copy), &socket)
            }
        }
    }

    fn hand_out(
        &mut self,
        call: &Notification,
        place: Place,
        hold: usize,
        source: Source,
        socket: &Socket,
    ) -> io::Result<()> {
        let inode = rustix::fs::fstat(socket)?.st_ino;
        if self.given.iter().any(|given| given.inode == inode) {
            // Its last user may just have gone.
            if descriptor::is_open_below(inode) {
                return Err(in_use());
            }
            let (gone, kept) = std::mem::take(&mut self.given)
                .into_iter()
                .partition(|given| given.inode == inode);
            self.given = kept;
            gone.iter().for_each(|given| self.take_back(given));
        }
        let flags = descriptor::flags(call.thread, place.descriptor)?;
        socket.set_nonblocking(flags.is_nonblocking)?;
        let number = place.descriptor.cast_unsigned();
        notification::replace(
            &self.listener,
            call.id,
            number,
            socket,
            flags.closes_on_exec,
        )?;
        self.given.push(Given {
            place,
            hold,
            socket: source,
            inode,
        });
        Ok(())
    }

    /// Lets a socket share the address of others of the tree that want it too.
    fn share(&mut self, socket: &Socket, address: SocketAddr) -> io::Result<()> {
        self.known.retain(Known::is_there);
        let others = self.known.iter().filter(|known| known.address == address);
        let others: Vec<Socket> = others.filter_map(Known::socket).collect();
        let held = self.given.iter().filter_map(|given| match &given.socket {
            Source::Held(member) => self.holds[given.hold].socket(*member),
            Source::Made(socket) => Some(socket),
        });
        for other in others.iter().chain(held) {
            other.set_reuse_port(true)?;
        }
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())
    }
}

/// What a socket speaks, if it can be bound to this address at all.
fn transport(socket: &Socket, address: SocketAddr) -> Option<Transport> {
    /// Several paths for one connection (RFC 8684), which Go's servers ask for.
    const MULTIPATH_TCP: i32 = 262;
    let domain = if address.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
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
