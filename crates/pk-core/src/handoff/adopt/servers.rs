//! The sockets of a tree that have an address of a held port: where they are, and whether they still
//! are. Never keeps one open that the program has closed, but for held ones that it was given.

use std::io;
use std::net::SocketAddr;

use rustix::net::sockopt::socket_cookie;
use socket2::Socket;

use super::descriptor;
use crate::Transport;
use crate::hold::exact;
use crate::sys::notification;

/// Where a program's socket is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) process: u32,
    pub(super) descriptor: i32,
}

/// What a program wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) place: Place,
    pub(super) transport: Transport,
    pub(super) address: SocketAddr,
    /// Whether others that want it too may have the same (`SO_REUSEPORT`).
    pub(super) shares: bool,
}

/// A copy of what took the place of a program's own socket.
#[derive(Debug)]
pub(super) enum Stand {
    /// A held socket. It is taken back when the program has no more use for it.
    Held(Socket),
    /// One that was made, because the program's own could not be had. It is let go of when it
    /// listens.
    Made(Socket),
}

#[derive(Debug)]
struct Server {
    wish: Wish,
    /// What tells the socket from the next one in its place (socket(7), `SO_COOKIE`).
    cookie: u64,
    stand: Option<Stand>,
}

#[derive(Debug, Default)]
pub(super) struct Servers(Vec<Server>);

impl Servers {
    /// Notes a program's own socket, or what has taken its place.
    pub(super) fn note(
        &mut self,
        wish: Wish,
        socket: &Socket,
        stand: Option<Stand>,
    ) -> io::Result<()> {
        let cookie = socket_cookie(socket)?;
        // Nothing else needs to know when a program has closed its own.
        self.0
            .retain(|it| it.stand.is_some() || it.wish.address != wish.address || it.is_there());
        self.0.push(Server {
            wish,
            cookie,
            stand,
        });
        Ok(())
    }

    /// The sockets that may be shared with one that wants the same.
    pub(super) fn willing(&self, wish: &Wish) -> Vec<Socket> {
        let same = |it: &&Server| {
            let theirs = &it.wish;
            theirs.shares && (theirs.transport, theirs.address) == (wish.transport, wish.address)
        };
        self.0
            .iter()
            .filter(same)
            .filter_map(Server::socket)
            .collect()
    }

    /// Whether a program asked for this IPv4 or IPv6 address.
    pub(super) fn has(&self, address: std::net::IpAddr) -> bool {
        self.0.iter().any(|it| it.wish.address.ip() == address)
    }

    /// Whether a socket is a held one that was given away, and is still in use.
    pub(super) fn is_given(&mut self, held: &Socket) -> io::Result<bool> {
        let cookie = socket_cookie(held)?;
        if !self.0.iter().any(|it| it.cookie == cookie) {
            return Ok(false);
        }
        // Its last user may just have gone.
        self.look();
        Ok(self.0.iter().any(|it| it.cookie == cookie))
    }

    /// A copy of the socket that was put in this place, if it is still there.
    pub(super) fn put_at(&self, place: Place) -> Option<Socket> {
        let here = self.0.iter().filter(|it| it.wish.place == place);
        let mut put = here.filter_map(|it| match &it.stand {
            Some(Stand::Held(socket) | Stand::Made(socket)) => Some(socket),
            None => None,
        });
        let is_there =
            |socket: &&Socket| descriptor::is_at(place.process, place.descriptor, socket);
        put.find(is_there)?.try_clone().ok()
    }

    pub(super) fn is_held(&self, socket: &Socket) -> io::Result<bool> {
        let cookie = socket_cookie(socket)?;
        let is_it = |it: &Server| it.cookie == cookie && matches!(it.stand, Some(Stand::Held(_)));
        Ok(self.0.iter().any(is_it))
    }

    /// Lets go of a socket that was made and now listens.
    pub(super) fn let_go(&mut self, socket: &Socket) -> io::Result<()> {
        let cookie = socket_cookie(socket)?;
        for server in self.0.iter_mut().filter(|it| it.cookie == cookie) {
            if let Some(Stand::Made(_)) = server.stand {
                server.stand = None;
            }
        }
        Ok(())
    }

    /// Whether a held socket is given away.
    pub(super) fn are_given(&self) -> bool {
        self.0.iter().any(|it| it.stand.is_some())
    }

    /// Takes back what nobody uses any more.
    pub(super) fn look(&mut self) {
        self.0.retain_mut(|it| {
            let is_used = match &it.stand {
                Some(Stand::Held(socket) | Stand::Made(socket)) => {
                    descriptor::is_open_below(socket, it.wish.place.process)
                }
                None => true,
            };
            if !is_used {
                it.end();
            }
            is_used
        });
    }

    /// Takes back everything.
    pub(super) fn end(&mut self) {
        self.0.drain(..).for_each(|mut it| it.end());
    }
}

impl Server {
    /// A copy of the socket, if the program still has it.
    fn socket(&self) -> Option<Socket> {
        if let Some(Stand::Held(socket) | Stand::Made(socket)) = &self.stand {
            return socket.try_clone().ok();
        }
        let Place {
            process,
            descriptor,
        } = self.wish.place;
        let socket = notification::descriptor(process, descriptor).ok()?;
        let cookie = socket_cookie(&socket).ok()?;
        (cookie == self.cookie).then(|| Socket::from(socket))
    }

    fn is_there(&self) -> bool {
        self.socket().is_some()
    }

    fn end(&mut self) {
        if let Some(Stand::Held(socket)) = self.stand.take() {
            let taken = exact::take_back(&socket);
            tracing::debug!(address = %self.wish.address, ?taken, "taken back");
        }
    }
}
