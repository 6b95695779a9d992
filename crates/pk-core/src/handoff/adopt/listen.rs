//! A program listens on a held port: from here on it excludes everybody else by itself. Never lets a
//! socket listen that is not bound to one of our ports.

use std::io;

use rustix::io::Errno;
use socket2::{Socket, Type};
use tracing::debug;

use super::{Adopter, Event, Given, Place, Source, process};
use crate::hold::behind;
use crate::sys::notification::{self, Notification, Reply};

impl Adopter {
    pub(super) fn listen(
        &mut self,
        call: &Notification,
        descriptor: i32,
        backlog: i32,
    ) -> (Reply, Event) {
        let untouched = (Reply::GoOn, Event::Passed);
        let place = Place {
            thread: call.thread,
            descriptor,
        };
        let (socket, made) = match notification::descriptor(call.thread, descriptor) {
            Ok(socket) => (Socket::from(socket), false),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                match self.handed_out(place) {
                    Some(socket) => (socket, true),
                    None => return untouched,
                }
            }
            Err(_) => return untouched,
        };
        if !self.is_waiting(call) || !matches!(socket.r#type(), Ok(Type::STREAM)) {
            return untouched;
        }
        let Some(address) = socket.local_addr().ok().and_then(|it| it.as_socket()) else {
            return untouched;
        };
        let Some(hold) = self
            .holds
            .iter()
            .find(|it| it.port().number() == address.port())
        else {
            return untouched;
        };
        let (pid, port, address) = (process(call.thread), hold.port(), address.ip());
        match self.begin_to_listen(&socket, backlog) {
            Ok(()) => {
                if made {
                    self.given.retain(|given| {
                        given.place != place || !matches!(given.socket, Source::Made(_))
                    });
                }
                debug!(pid, %port, %address, "listens");
                (Reply::Done, Event::Listening { pid, port, address })
            }
            Err(why) => {
                let number = why.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
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

    fn begin_to_listen(&self, socket: &Socket, backlog: i32) -> io::Result<()> {
        let inode = rustix::fs::fstat(socket)?.st_ino;
        let is_held = self.given.iter().any(|given| given.inode == inode);
        socket.listen(backlog).or_else(|error| {
            // What a dead server left on the port yields only to a socket that shares it.
            if !is_held || error.kind() != io::ErrorKind::AddrInUse {
                return Err(error);
            }
            socket.set_reuse_address(true)?;
            socket.listen(backlog)
        })?;
        behind::open(socket)?;
        if is_held {
            // So that connections that are accepted now will not block the port in their turn.
            socket.set_reuse_address(true)?;
        }
        Ok(())
    }

    /// The socket that was put in this place.
    fn handed_out(&self, place: Place) -> Option<Socket> {
        let is_it = |given: &&Given| {
            given.place.descriptor == place.descriptor
                && process(given.place.thread) == process(place.thread)
        };
        let given = self.given.iter().rev().find(is_it)?;
        match &given.socket {
            Source::Held(member) => self.holds[given.hold].socket(*member)?.try_clone().ok(),
            Source::Made(socket) => socket.try_clone().ok(),
        }
    }
}
