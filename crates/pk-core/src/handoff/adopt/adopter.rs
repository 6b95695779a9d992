//! Taking the calls of a tree of processes, one at a time, and sending their answers. Never waits.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use socket2::Socket;

use super::Event;
use super::asked::{self, Asked};
use super::servers::Servers;
use crate::hold::behind;
use crate::sys::notification::{self, Notification, Reply};
use crate::{Hold, Port, sys};

/// How often it is looked whether a socket that was given away is still anybody's.
const LOOK: Duration = Duration::from_millis(250);

/// Answers the bind(2) and listen(2) calls of a tree of processes. Readable ([`AsFd`]) when one
/// waits; hung up when no process of the tree is left.
#[derive(Debug)]
pub struct Adopter {
    pub(super) listener: OwnedFd,
    pub(super) holds: Vec<Hold>,
    /// The size of the kernel's messages.
    size: usize,
    /// Whether sockets can be freed from an interface again (`CAP_NET_RAW`).
    pub(super) may_free: bool,
    /// The network namespace of the holds, where the kernel names it.
    network: Option<u64>,
    pub(super) servers: Servers,
    /// Whether it was told that a process can't be looked into.
    was_blind: bool,
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
    /// Answers through `listener` ([`ByListener`](crate::handoff::child::Answered::ByListener)), for these holds.
    ///
    /// # Errors
    /// The system's reason.
    pub fn new(listener: OwnedFd, holds: Vec<Hold>) -> io::Result<Adopter> {
        crate::failpoint!("adopt.begin");
        let sizes = notification::message_sizes()?;
        notification::hurry(&listener);
        let descriptors = holds.iter().flat_map(Hold::descriptors);
        let network = descriptors.map(sys::network_cookie).find_map(Result::ok);
        Ok(Adopter {
            listener,
            holds,
            size: sizes.seccomp_notif.into(),
            may_free: behind::may_free(),
            network,
            servers: Servers::default(),
            was_blind: false,
        })
    }

    /// Answers a call that waits. `None` when there was none after all: its process has died.
    ///
    /// # Errors
    /// The system's reason; the tree can't be served any more then.
    pub fn serve(&mut self) -> io::Result<Option<Event>> {
        // The call may have been taken back since it was heard of, and the kernel would wait for
        // the next one.
        if !notification::is_there(&self.listener)? {
            return Ok(None);
        }
        let Some(asked) = notification::receive(&self.listener, self.size)? else {
            return Ok(None);
        };
        crate::failpoint!("adopt.asked");
        let (reply, event) = self.answer(&asked);
        crate::failpoint!("adopt.reply");
        notification::reply(&self.listener, asked.id, reply)?;
        crate::failpoint!("adopt.replied");
        Ok(Some(event))
    }

    /// How long until [`Adopter::look`] should be called; `None`: there is nothing to look at.
    #[must_use]
    pub fn look_after(&self) -> Option<Duration> {
        self.servers.are_given().then_some(LOOK)
    }

    /// Takes back the held sockets that nobody of the tree has any more.
    pub fn look(&mut self) {
        self.servers.look();
    }

    /// The holds, when the tree has ended.
    #[must_use]
    pub fn into_holds(mut self) -> Vec<Hold> {
        self.servers.end();
        self.holds
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

    /// Whether a socket is of another network namespace, where our ports mean nothing.
    pub(super) fn is_elsewhere(&self, socket: &Socket) -> bool {
        match (self.network, sys::network_cookie(socket)) {
            (Some(ours), Ok(its)) => ours != its,
            _ => false,
        }
    }

    pub(super) fn is_waiting(&self, call: &Notification) -> bool {
        notification::is_waiting(&self.listener, call.id)
    }
}

impl AsFd for Adopter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// The process that a thread belongs to.
pub(super) fn process(thread: u32) -> u32 {
    notification::process_of(thread).unwrap_or(thread)
}

/// A program can't have what it asked for: it is told the reason, and so is whoever serves it.
pub(super) fn refuse(pid: u32, port: Port, address: IpAddr, why: io::Error) -> (Reply, Event) {
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
