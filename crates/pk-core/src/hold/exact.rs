//! What a process without privilege does for a server that asks for a wildcard address: it can't
//! hide the server's own socket, so a held one of exactly this address is given in its place, or,
//! with UDP, the server's slips in beside the held one. Never gives a wider one.
//!
//! Where sockets have to be bound beside others of the same port, they share it by `SO_REUSEPORT`
//! for these microseconds: unlike `SO_REUSEADDR`, which lets in every server, it lets in only one of
//! the same user that asks for the option, too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};

use socket2::Socket;

use super::behind::{in_use, is_in_use};
use super::{Hold, Member};
use crate::Transport;
use crate::probe::{self, Stack};

impl Hold {
    /// A copy of the held socket of exactly this wildcard, for a program to have. Those that overlap
    /// it are closed, because only one of them can listen; what is left still covers everything.
    pub(super) fn give(&mut self, wildcard: IpAddr, is_dual: bool) -> io::Result<Socket> {
        let is_it = |it: &Member| {
            it.transport == Transport::Tcp && it.address == wildcard && it.is_dual() == is_dual
        };
        if !self.members.iter().any(|it| is_it(it) && !it.is_hidden()) {
            self.renew(wildcard, is_dual)?;
        }
        let at = self.members.iter().position(is_it).ok_or_else(in_use)?;
        let given = self.members[at].socket.try_clone()?;
        // It is not asked again which one it is: where the kernel fails to tell, none would be left.
        let mut number = 0..;
        self.members.retain(|it| {
            number.next() == Some(at)
                || it.transport == Transport::Udp
                || !(is_dual || it.is_dual())
        });
        Ok(given)
    }

    /// Takes the port anew on every address, this one first, and closes the sockets that have held
    /// it until now: those that are hidden can't be given, and others may be closed already.
    ///
    /// They go on excluding everybody but a socket of the same user with `SO_REUSEPORT`; that the
    /// new one can listen proves that there is none, and keeps it from coming later.
    fn renew(&mut self, wildcard: IpAddr, is_dual: bool) -> io::Result<()> {
        let old = || self.of(Transport::Tcp);
        if old().any(|it| !it.address.is_unspecified()) {
            // Only the host's own addresses were to be had.
            return Err(in_use());
        }
        let share = |on| old().try_for_each(|it| it.socket.set_reuse_port(on));
        let bound = share(true).and_then(|()| bind_beside(wildcard, is_dual, self.port.number()));
        share(false)?;
        let mut renewed = bound?;
        self.members.retain(|it| it.transport != Transport::Tcp);
        let proven = begin_and_stop_listening(&renewed[0].socket);
        self.members.append(&mut renewed);
        proven
    }

    /// Binds a socket beside the held ones, and makes sure that nobody else has done the same.
    pub(super) fn slip_in(&mut self, socket: &Socket, address: SocketAddr) -> io::Result<()> {
        let is_shared = socket.reuse_port()?;
        let share = |on| {
            let held = self.of(Transport::Udp).map(|it| &it.socket);
            held.chain((!is_shared).then_some(socket))
                .try_for_each(|it| it.set_reuse_port(on))
        };
        let own = rustix::fs::fstat(socket)?.st_ino;
        let before = super::bound_to(Transport::Udp, self.port);
        let bound = share(true).and_then(|()| socket.bind(&address.into()));
        share(false)?;
        bound?;
        let after = super::bound_to(Transport::Udp, self.port);
        match after.iter().all(|it| *it == own || before.contains(it)) {
            true => Ok(()),
            false => Err(in_use()),
        }
    }

    pub(super) fn of(&self, transport: Transport) -> impl Iterator<Item = &Member> {
        let is_of = move |it: &&Member| it.transport == transport;
        self.members.iter().filter(is_of)
    }
}

/// Takes back a held socket that was given away and that nobody has any more: it does not listen,
/// and lets nobody in.
pub(crate) fn take_back(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(false)?;
    let was_shared = socket.reuse_port()?;
    socket.set_reuse_port(false)?;
    match socket.shutdown(Shutdown::Read) {
        // It never listened.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
        done => done?,
    }
    match was_shared {
        true => begin_and_stop_listening(socket),
        false => Ok(()),
    }
}

/// New sockets that cover every address and share the port with those that hold it; the one of this
/// wildcard is the first. They share it with nobody when this returns.
fn bind_beside(wildcard: IpAddr, is_dual: bool, port: u16) -> io::Result<Vec<Member>> {
    let mut wanted = vec![(wildcard, if is_dual { Stack::Dual } else { Stack::Single })];
    match wildcard {
        IpAddr::V4(_) => wanted.push((Ipv6Addr::UNSPECIFIED.into(), Stack::Single)),
        IpAddr::V6(_) if !is_dual => wanted.push((Ipv4Addr::UNSPECIFIED.into(), Stack::Single)),
        IpAddr::V6(_) => {}
    }
    let mut members = Vec::with_capacity(wanted.len());
    for (address, stack) in wanted {
        let socket = match probe::open(Transport::Tcp, address, stack) {
            Err(error) if address != wildcard && probe::no_ipv6(&error) => continue,
            socket => socket?,
        };
        socket.set_reuse_port(true)?;
        // What a dead server left on the port gives way only to this.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(address, port).into())?;
        members.push(Member {
            transport: Transport::Tcp,
            address,
            socket,
        });
    }
    for member in &members {
        member.socket.set_reuse_address(false)?;
        member.socket.set_reuse_port(false)?;
    }
    Ok(members)
}

/// A bound socket can listen only if nobody overlaps it; the kernel then forgets that sockets have
/// shared the port by `SO_REUSEPORT`, and no longer lets in another one unseen.
fn begin_and_stop_listening(socket: &Socket) -> io::Result<()> {
    socket.listen(0).or_else(|error| {
        if !is_in_use(&error) {
            return Err(error);
        }
        // Connections of a dead server may be in the way.
        socket.set_reuse_address(true)?;
        let listens = socket.listen(0);
        socket.set_reuse_address(false)?;
        listens
    })?;
    socket.shutdown(Shutdown::Read)
}
