//! A program listens on a held port: from here on it excludes everybody else by itself. Never lets a
//! socket listen that is not bound to one of our ports.

use std::io;

use socket2::{Socket, Type};
use tracing::debug;

use super::adopter::{process, refuse};
use super::servers::Place;
use super::{Adopter, Event};
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
        let socket = match notification::descriptor(call.thread, descriptor) {
            Ok(socket) => Socket::from(socket),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let place = Place {
                    process: process(call.thread),
                    descriptor,
                };
                match self.servers.put_at(place) {
                    Some(socket) => socket,
                    None => return untouched,
                }
            }
            Err(_) => return untouched,
        };
        if !self.is_waiting(call)
            || self.is_elsewhere(&socket)
            || !matches!(socket.r#type(), Ok(Type::STREAM))
        {
            return untouched;
        }
        let Some(address) = socket.local_addr().ok().and_then(|it| it.as_socket()) else {
            return untouched;
        };
        let is_its = |hold: &&crate::Hold| hold.port().number() == address.port();
        let Some(hold) = self.holds.iter().find(is_its) else {
            return untouched;
        };
        let (pid, port, address) = (process(call.thread), hold.port(), address.ip());
        match self.begin_to_listen(&socket, backlog) {
            Ok(()) => {
                debug!(pid, %port, %address, "listens");
                (Reply::Done, Event::Listening { pid, port, address })
            }
            Err(why) => refuse(pid, port, address, why),
        }
    }

    fn begin_to_listen(&mut self, socket: &Socket, backlog: i32) -> io::Result<()> {
        let is_held = self.servers.is_held(socket)?;
        behind::listen(socket, backlog).or_else(|error| {
            // What a dead server left on the port yields only to a socket that shares it.
            if !is_held || !behind::is_in_use(&error) {
                return Err(error);
            }
            socket.set_reuse_address(true)?;
            socket.listen(backlog)
        })?;
        if is_held {
            // So that connections that are accepted now will not block the port in their turn.
            socket.set_reuse_address(true)?;
        }
        self.servers.let_go(socket)
    }
}
