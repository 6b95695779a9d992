//! Giving held ports to programs that know nothing of it: when a process of a tree calls bind(2)
//! with a held port, its own socket is let in behind the hold, which goes on keeping everybody else
//! out; all other calls go on untouched. Never lets go of a port, and never gives a program an
//! address that it did not ask for.
//!
//! The tree begins with a child whose [`Setup`](super::child::Setup) asked for it. Its calls wait
//! until they are answered here, so whoever has an [`Adopter`] must serve it for as long as the tree
//! lives: when the listener is closed, every later bind and listen of the tree fails (ENOSYS).

mod asked;
mod bind;
mod descriptor;
mod listen;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use socket2::Socket;
use tracing::debug;

use self::asked::Asked;
use crate::hold::behind;
use crate::sys::notification::{self, Notification, Reply};
use crate::{Hold, Port, Transport};

/// How often it is looked whether a socket that was given away is still anybody's.
const LOOK: Duration = Duration::from_millis(250);

/// Answers the bind(2) and listen(2) calls of a tree of processes. Readable ([`AsFd`]) when one
/// waits; hung up when no process of the tree is left.
#[derive(Debug)]
pub struct Adopter {
    listener: OwnedFd,
    holds: Vec<Hold>,
    /// The size of the kernel's messages.
    size: usize,
    /// Whether sockets can be freed from an interface again (`CAP_NET_RAW`).
    may_free: bool,
    /// Sockets that were let in; others that want to share their address may have to.
    known: Vec<Known>,
    /// Held sockets that took the place of a program's own.
    given: Vec<Given>,
    /// Whether it was told that a process can't be looked into.
    was_blind: bool,
}

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

/// Where a socket of the tree is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    thread: u32,
    descriptor: i32,
}

#[derive(Debug)]
struct Known {
    place: Place,
    cookie: u64,
    address: SocketAddr,
}

#[derive(Debug)]
struct Given {
    place: Place,
    hold: usize,
    /// The number of the held socket, or a socket that was made because the program's own could
    /// not be had.
    socket: Source,
    inode: u64,
}

#[derive(Debug)]
enum Source {
    Held(usize),
    Made(Socket),
}

/// Whether this kernel can do it at all. What else may be in the way (another such filter, a
/// sandbox) is told by the child when it starts.
///
/// # Errors
/// The system's reason.
pub fn probe() -> io::Result<()> {
    notification::message_sizes().map(drop)
}

impl Adopter {
    /// Answers through `listener` ([`super::child::Answered::ByListener`]), for these holds.
    ///
    /// # Errors
    /// The system's reason.
    pub fn new(listener: OwnedFd, holds: Vec<Hold>) -> io::Result<Adopter> {
        let sizes = notification::message_sizes()?;
        notification::hurry(&listener);
        Ok(Adopter {
            listener,
            holds,
            size: sizes.seccomp_notif.into(),
            may_free: behind::may_free(),
            known: Vec::new(),
            given: Vec::new(),
            was_blind: false,
        })
    }

    /// Answers a call that waits. `None` when there was none after all: its process has died.
    ///
    /// # Errors
    /// The system's reason; the tree can't be served any more then.
    pub fn serve(&mut self) -> io::Result<Option<Event>> {
        let Some(asked) = notification::receive(&self.listener, self.size)? else {
            return Ok(None);
        };
        let (reply, event) = self.answer(&asked);
        notification::reply(&self.listener, asked.id, reply)?;
        Ok(Some(event))
    }

    /// How long until [`Adopter::look`] should be called; `None`: there is nothing to look at.
    #[must_use]
    pub fn look_after(&self) -> Option<Duration> {
        (!self.given.is_empty()).then_some(LOOK)
    }

    /// Takes back the held sockets that nobody of the tree has any more.
    pub fn look(&mut self) {
        let (abandoned, kept) = std::mem::take(&mut self.given)
            .into_iter()
            .partition(|given| !descriptor::is_open_below(given.inode));
        self.given = kept;
        for given in abandoned {
            self.take_back(&given);
        }
    }

    /// The holds, when the tree has ended.
    #[must_use]
    pub fn into_holds(mut self) -> Vec<Hold> {
        for given in std::mem::take(&mut self.given) {
            self.take_back(&given);
        }
        self.holds
    }

    fn take_back(&self, given: &Given) {
        if let Source::Held(member) = given.socket {
            let taken = self.holds[given.hold].take_back(member);
            debug!(?taken, "nobody has the held socket any more");
        }
    }

    fn answer(&mut self, call: &Notification) -> (Reply, Event) {
        match asked::read(call) {
            Ok(Asked::Bind {
                descriptor,
                address,
            }) => self.bind(call, descriptor, address),
            Ok(Asked::Listen {
                descriptor,
                backlog,
            }) => self.listen(call, descriptor, backlog),
            Ok(Asked::Else) => (Reply::GoOn, Event::Passed),
            Err(why) => (Reply::GoOn, self.blind(call, why)),
        }
    }

    /// What can't be seen goes on untouched. It is told once, and only if the process is closed to
    /// us: an address that is not there is the program's own mistake.
    fn blind(&mut self, call: &Notification, why: io::Error) -> Event {
        let is_closed = why.kind() == io::ErrorKind::PermissionDenied;
        if !is_closed || std::mem::replace(&mut self.was_blind, true) {
            return Event::Passed;
        }
        let pid = process(call.thread);
        Event::Unreadable { pid, why }
    }

    fn is_waiting(&self, call: &Notification) -> bool {
        notification::is_waiting(&self.listener, call.id)
    }
}

impl AsFd for Adopter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Known {
    /// The socket, if it is still where it was.
    fn socket(&self) -> Option<Socket> {
        let Place { thread, descriptor } = self.place;
        let socket = notification::descriptor(thread, descriptor).ok()?;
        let cookie = rustix::net::sockopt::socket_cookie(&socket).ok()?;
        (cookie == self.cookie).then(|| Socket::from(socket))
    }

    fn is_there(&self) -> bool {
        self.socket().is_some()
    }
}
fn process(thread: u32) -> u32 {
    notification::process_of(thread).unwrap_or(thread)
}

fn in_use() -> io::Error {
    io::Error::from_raw_os_error(Errno::ADDRINUSE.raw_os_error())
}
